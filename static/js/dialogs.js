// A button with data-dialog="id" opens that <dialog> instead of doing what it does without scripts;
// a button with data-close closes the dialog around it. Esc is the browser's own, and so is the way of the focus back,
// but for an opener that is not to be seen any more: then it goes to the button of the menu around it, or to its successor.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) {
    event.preventDefault();
    document.getElementById(opener.dataset.dialog).showModal();
  }
  event.target.closest("[data-close]")?.closest("dialog").close();
});
document.addEventListener(
  "close",
  (event) => {
    const at = document.activeElement;
    if (at !== document.body && at.checkVisibility()) return;
    const openers = [...document.querySelectorAll(`[data-dialog="${event.target.id}"]`)];
    const menu = openers[0]?.closest("[popover]");
    const seen = menu ? document.querySelector(`[popovertarget="${menu.id}"]`) : openers.find((opener) => opener.checkVisibility());
    seen?.focus();
  },
  true,
);
