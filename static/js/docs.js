// Swagger UI has a dark look of its own: it follows what the reader has chosen here, else the system.
// Loaded in <head> and not deferred, as theme.js is.
{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const theme = localStorage.getItem("theme") || (system.matches ? "dark" : "light");
    root.classList.toggle("dark-mode", theme === "dark");
    root.style.colorScheme = theme;
  };
  show();
  system.addEventListener("change", show);
}
