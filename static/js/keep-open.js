// A <details> with an id that the user has opened stays open when htmx replaces it. A part with an open dialog or menu is
// not replaced; its next refresh comes soon.
let opened = [];
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.querySelector("dialog[open], :popover-open")) event.detail.shouldSwap = false;
  opened = [...document.querySelectorAll("details[id][open]")].map((details) => details.id);
});
document.addEventListener("htmx:afterSwap", () => {
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
});
