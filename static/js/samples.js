// Buttons with data-sample-step="-1" and "1" show the previous and next sample; so do the arrow keys. The shown sample
// stays after a refresh.
let shown = 0;

const show = (step) => {
  const samples = [...document.querySelectorAll("#samples [data-sample]")];
  if (!samples.length) return;
  shown = (Math.min(shown, samples.length - 1) + step + samples.length) % samples.length;
  for (const [index, sample] of samples.entries()) sample.hidden = index !== shown;
  const counter = document.querySelector("[data-sample-number]");
  if (counter) counter.textContent = shown + 1;
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sample-step]");
  if (button) show(Number(button.dataset.sampleStep));
});
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !event.target.closest("#samples")) return;
  event.preventDefault();
  show(step);
});
document.addEventListener("htmx:afterSwap", () => show(0));
