// On a wide screen a link with data-beside="id" shows its page's main part in that element, beside the table;
// elsewhere, and with a modifier key, it is an ordinary link.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-beside]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !matchMedia("(min-width: 62rem)").matches) return;
  event.preventDefault();
  const panel = document.getElementById(link.dataset.beside);
  htmx.ajax("GET", link.href, { target: panel, swap: "innerHTML" }).then(() => {
    panel.hidden = false;
    panel.scrollIntoView({ block: "nearest" });
  });
});
