// A file that is chosen, or dropped on the field, is uploaded at once; the bar shows the progress.
const field = (target) => target.closest?.("#upload input[type=file]");

document.addEventListener("change", (event) => {
  const input = field(event.target);
  if (!input?.files.length) return;
  const form = input.form;
  const tooLarge = input.files[0].size > Number(form.dataset.most);
  form.querySelector(".errors").textContent = tooLarge ? form.dataset.tooLarge : "";
  if (!tooLarge) form.requestSubmit();
});

for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    field(event.target)?.closest(".drop").classList.toggle("over", name === "dragenter" || name === "dragover");
  });
}

document.addEventListener("htmx:xhr:progress", (event) => {
  const bar = document.querySelector("#upload progress");
  if (!bar || !event.detail.lengthComputable) return;
  bar.max = event.detail.total;
  bar.value = event.detail.loaded;
});
