// What a reader has opened stays open when htmx replaces it: any <details> with an id. A part with an open dialog or
// menu in it is not replaced at all; it asks again soon.
let opened = [];
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.querySelector("dialog[open], :popover-open")) event.detail.shouldSwap = false;
  opened = [...document.querySelectorAll("details[id][open]")].map((details) => details.id);
});
document.addEventListener("htmx:afterSwap", () => {
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
});
