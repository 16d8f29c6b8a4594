// A chip with data-insert="name" puts the placeholder {name} where the cursor is in the text.
document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-insert]");
  if (!chip) return;
  const text = document.getElementById("id_text");
  text.setRangeText(`{${chip.dataset.insert}}`, text.selectionStart, text.selectionEnd, "end");
  text.focus();
  text.dispatchEvent(new Event("input", { bubbles: true }));
});
