// allauth's scripts report an unused passkey (cancelled, timed out, none here) by this event; show a message.
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  document.getElementById("passkey-failed").hidden = false;
});
