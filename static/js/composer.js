// A chip with data-insert="name" puts the placeholder {name} where the cursor is in the text.
document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-insert]");
  if (!chip) return;
  const text = document.getElementById("id_text");
  text.setRangeText(`{${chip.dataset.insert}}`, text.selectionStart, text.selectionEnd, "end");
  text.focus();
  text.dispatchEvent(new Event("input", { bubbles: true }));
});

// A button with data-replace='{"from": "to"}' writes the text with these characters instead of those.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-replace]");
  if (!button) return;
  const text = document.getElementById("id_text");
  for (const [from, to] of Object.entries(JSON.parse(button.dataset.replace))) text.value = text.value.replaceAll(from, to);
  text.focus();
  text.dispatchEvent(new Event("input", { bubbles: true }));
});

// Ctrl+Enter or ⌘Enter goes on to the review, wherever in the form one is.
document.getElementById("composer").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  document.querySelector("[data-dialog=review]")?.click();
});
