// Buttons with data-leaf="-1" and "1" turn to another of the elements with data-leaf-page in #leaves; within it the
// arrow keys do, too. Whichever is shown stays so when htmx brings them anew.
let leaf = 0;

const turn = (step) => {
  const pages = [...document.querySelectorAll("#leaves [data-leaf-page]")];
  if (!pages.length) return;
  leaf = (Math.min(leaf, pages.length - 1) + step + pages.length) % pages.length;
  for (const [index, page] of pages.entries()) page.hidden = index !== leaf;
  const told = document.querySelector("[data-leaf-at]");
  if (told) told.textContent = leaf + 1;
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-leaf]");
  if (button) turn(Number(button.dataset.leaf));
});
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !event.target.closest("#leaves")) return;
  event.preventDefault();
  turn(step);
});
document.addEventListener("htmx:afterSwap", () => turn(0));
