// allauth's scripts tell of a passkey that was not used (cancelled, timed out, none here) by this event: say so on the page.
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  document.getElementById("passkey-failed").hidden = false;
});
