// A chip with data-insert="name" puts the placeholder {name} where the cursor is in the text.
document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-insert]");
  if (!chip) return;
  const text = document.getElementById("id_text");
  text.setRangeText(`{${chip.dataset.insert}}`, text.selectionStart, text.selectionEnd, "end");
  text.focus();
  text.dispatchEvent(new Event("input", { bubbles: true }));
});

// A button with data-replace='{"from": "to"}' replaces these characters in the text.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-replace]");
  if (!button) return;
  const text = document.getElementById("id_text");
  for (const [from, to] of Object.entries(JSON.parse(button.dataset.replace))) text.value = text.value.replaceAll(from, to);
  text.focus();
  text.dispatchEvent(new Event("input", { bubbles: true }));
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
