// In a form with data-ticks the box data-tick-all selects all rows of the page, and data-ticked shows the number of
// selected rows.
const showCount = (form) => {
  const rows = [...form.querySelectorAll("[name=contact]")];
  const ticked = rows.filter((row) => row.checked).length;
  const all = form.querySelector("[data-tick-all]");
  const status = form.querySelector("[data-ticked]");
  all.checked = ticked > 0 && ticked === rows.length;
  all.indeterminate = ticked > 0 && ticked < rows.length;
  const everything = form.querySelector("[data-tick-everything]").checked;
  status.textContent = ticked && !everything ? status.dataset.ticked.replace("{n}", ticked) : "";
};
document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-ticks]");
  if (!form) return;
  if (event.target.matches("[data-tick-all]")) {
    for (const row of form.querySelectorAll("[name=contact]")) row.checked = event.target.checked;
  }
  showCount(form);
});
