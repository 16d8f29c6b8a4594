// A button with data-dialog="id" opens that <dialog> instead of doing what it does without scripts;
// a button with data-close closes the dialog around it. Esc and focus are the browser's own.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) {
    event.preventDefault();
    document.getElementById(opener.dataset.dialog).showModal();
  }
  event.target.closest("[data-close]")?.closest("dialog").close();
});
