// Toasts go when they are dismissed or when their own animation has faded them out.
document.addEventListener("click", (event) => {
  event.target.closest("[data-dismiss]")?.closest(".toast").remove();
});
document.addEventListener("animationend", (event) => {
  if (event.animationName === "leave") event.target.remove();
});
