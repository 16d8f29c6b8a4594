// A button with data-dialog="id" opens that <dialog>; without scripts it does what it says. A button with data-close
// closes its dialog. The browser handles Esc and returns the focus. If the opener is no longer visible, the focus moves to
// the button of its menu, or to the opener that replaced it.
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
