// A search field with data-narrow="id" shows only those items of that list that contain the typed text. `ID-none` is shown
// if there are none.
for (const field of document.querySelectorAll("[data-narrow]")) {
  const list = document.getElementById(field.dataset.narrow);
  const none = document.getElementById(`${field.dataset.narrow}-none`);
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const item of list.children) item.hidden = !item.textContent.toLowerCase().includes(wanted);
    none.hidden = [...list.children].some((item) => !item.hidden);
  });
}
