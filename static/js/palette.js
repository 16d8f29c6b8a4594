// The command palette: Ctrl+K or ⌘K opens it, arrows choose, Enter opens. It is a combobox whose list the server sends.
const palette = document.getElementById("palette");
const field = palette.querySelector("input");
const list = document.getElementById("palette-list");
let answered; // what the list is the answer to
let entered = false; // Enter was pressed before the answer was there

const options = () => [...list.querySelectorAll("[role=option]:not([aria-disabled])")];
const chosen = () => list.querySelector("[aria-selected=true]");

function choose(option) {
  chosen()?.setAttribute("aria-selected", "false");
  option?.setAttribute("aria-selected", "true");
  option?.scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", option?.id ?? "");
}

function openPalette() {
  if (document.querySelector("dialog[open]")) return;
  palette.showModal();
  field.select();
  htmx.trigger(field, "palette");
}

function enter() {
  entered = answered !== field.value;
  if (!entered) chosen()?.click();
}

list.addEventListener("htmx:afterSwap", (event) => {
  answered = event.detail.requestConfig.parameters.q;
  choose(options()[0]);
  if (entered) enter();
});

field.addEventListener("input", () => {
  entered = false;
});

field.addEventListener("keydown", (event) => {
  const all = options();
  const at = all.indexOf(chosen());
  if (event.key === "Enter") enter();
  else if (event.key === "ArrowDown") choose(all[(at + 1) % all.length]);
  else if (event.key === "ArrowUp") choose(all.at(at - 1));
  else return;
  event.preventDefault();
});

// Keys for everywhere. Those without Ctrl and ⌘ can be switched off, since speech input may trigger them by accident.
const singleKeys = document.querySelector("[data-single-keys]");
singleKeys.checked = localStorage.getItem("single-keys") !== "off";
singleKeys.addEventListener("change", () => localStorage.setItem("single-keys", singleKeys.checked ? "on" : "off"));

function searchHere() {
  const search = document.querySelector("main [type=search]");
  if (search) search.focus();
  else openPalette();
}

// On a Cyrillic keyboard the same keys give other letters.
const letterOf = (event) => (/^[a-z]$/i.test(event.key) ? event.key : event.code.replace("Key", "")).toLowerCase();
let before = ""; // the letter pressed before

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && letterOf(event) === "k") {
    event.preventDefault();
    return openPalette();
  }
  const busy = event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog");
  if (busy || !singleKeys.checked) return;
  const slash = event.code === "Slash";
  if (event.key === "/" || (slash && event.key === ".")) {
    event.preventDefault();
    searchHere();
  } else if (event.key === "?" || (slash && event.key === ",")) {
    document.getElementById("shortcuts").showModal();
  } else if (before === "g") {
    document.querySelector(`[data-keys="g ${letterOf(event)}"]`)?.click();
  }
  before = letterOf(event);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-palette]") && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    openPalette();
  }
});
