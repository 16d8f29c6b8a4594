// A chip with data-insert="name" puts the placeholder {name} where the cursor is in the text.
document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-insert]");
  if (!chip) return;
  const text = document.getElementById("id_text");
  text.setRangeText(`{${chip.dataset.insert}}`, text.selectionStart, text.selectionEnd, "end");
  text.focus();
  text.dispatchEvent(new Event("input", { bubbles: true }));
});

// A button with data-rewrite="…" replaces the text by a cheaper version; the button [data-undo] brings the text back.
function rewrite(value, former) {
  const text = document.getElementById("id_text");
  const undo = document.getElementById("undo-rewrite");
  text.value = value;
  text.focus();
  text.dispatchEvent(new Event("input", { bubbles: true }));
  undo.hidden = former === undefined;
  undo.dataset.former = former;
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-rewrite]");
  if (button) rewrite(button.dataset.rewrite, document.getElementById("id_text").value);
  else if (event.target.closest("[data-undo]")) rewrite(document.getElementById("undo-rewrite").dataset.former);
});

// Versions of a text that has changed since must not be used.
document.getElementById("id_text").addEventListener("input", () => {
  document.getElementById("undo-rewrite").hidden = true;
  for (const button of document.querySelectorAll("[data-rewrite]")) button.disabled = true;
});

// Ctrl+Enter or ⌘Enter opens the review from any field.
document.getElementById("composer").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  document.querySelector("[data-dialog=review]")?.click();
});

// A button with data-window="09:00 21:00" sets these hours; an open review is reloaded.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-window]");
  if (!button) return;
  event.preventDefault();
  const hours = button.dataset.window.split(" ");
  for (const [index, name] of ["window_start", "window_end"].entries()) document.getElementById(`id_${name}`).value = hours[index];
  const dialog = button.closest("dialog");
  document.getElementById("id_window_end").dispatchEvent(new Event("change", { bubbles: true }));
  if (dialog) htmx.trigger(document.querySelector(`[hx-post][data-dialog="${dialog.id}"]`), "review");
  else document.getElementById("id_window_start").focus();
});
