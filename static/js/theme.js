// Light and dark follow the system until the reader chooses otherwise; the choice is kept in this browser.
// Loaded in <head> and not deferred: the page must not be drawn in the wrong theme first.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const systemTheme = () => (system.matches ? "dark" : "light");

  const chosen = localStorage.getItem("theme");
  if (chosen) root.dataset.theme = chosen;

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const next = (root.dataset.theme || systemTheme()) === "dark" ? "light" : "dark";
    if (next === systemTheme()) {
      delete root.dataset.theme;
      localStorage.removeItem("theme");
    } else {
      root.dataset.theme = next;
      localStorage.setItem("theme", next);
    }
  });
})();
