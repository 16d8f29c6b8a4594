// A field with data-picker="name" filters the chips below it: selected chips stay; of the others the first matches are
// shown. Chips that the page lacks are created from the list that data-names identifies.
const MOST = 24;

const plain = (text) => text.trim().toLowerCase();
const namesOf = (id) => JSON.parse(document.getElementById(id)?.textContent || "[]");
const chipsOf = (field) => field.closest("fieldset").querySelector(".chips");

function add(field, name) {
  const label = document.createElement("label");
  const chips = chipsOf(field);
  const disabled = chips.querySelector("input")?.disabled ?? false;
  label.append(Object.assign(document.createElement("input"), { type: "checkbox", name: field.dataset.picker, value: name, disabled }), name);
  chips.append(label);
  return label;
}

const showRemaining = (output, remaining) => {
  output.textContent = remaining ? output.dataset.more.replace("{n}", remaining) : "";
};

function narrow(field) {
  const wanted = plain(field.value);
  const there = new Set();
  let shown = 0;
  let left = 0;
  for (const label of chipsOf(field).children) {
    const input = label.querySelector("input");
    const fits = plain(label.textContent).includes(wanted);
    there.add(input.value);
    label.hidden = !input.checked && !(fits && shown < MOST);
    if (!input.checked && !label.hidden) shown += 1;
    else if (fits && label.hidden) left += 1;
  }
  for (const name of namesOf(field.dataset.names)) {
    if (there.has(name) || !plain(name).includes(wanted)) continue;
    if (shown < MOST) {
      add(field, name);
      shown += 1;
    } else left += 1;
  }
  showRemaining(field.closest("fieldset").querySelector("[data-picker-left]"), left);
}

function prepare(field) {
  // Typing here is not a change of the form.
  for (const name of ["input", "change"]) field.addEventListener(name, (event) => event.stopPropagation());
  field.addEventListener("input", () => narrow(field));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  narrow(field);
}

document.addEventListener("htmx:load", (event) => {
  for (const field of event.detail.elt.querySelectorAll("[data-picker]")) prepare(field);
});

// js/unsaved.js is about to restore the ticks, so the chips must exist.
document.addEventListener("unsaved:restore", (event) => {
  for (const field of event.target.querySelectorAll("[data-picker]")) {
    const there = new Set([...chipsOf(field).querySelectorAll("input")].map((input) => input.value));
    const names = new Set(namesOf(field.dataset.names));
    for (const [name, value] of event.detail) {
      if (name === field.dataset.picker && !there.has(value) && names.has(value)) add(field, value);
    }
  }
});

// A field with data-suggest="id" offers the names of that <datalist>: many as chips that can be searched; otherwise the
// browser offers them.
function suggest(field) {
  const list = document.getElementById(field.dataset.suggest);
  if (list.options.length <= MOST) return;
  field.removeAttribute("list");
  let offered = field.parentElement.querySelector(".offered");
  if (!offered) {
    offered = document.createElement("div");
    offered.className = "offered stack tight";
    offered.innerHTML = '<div class="chips scroll" role="group"></div><p class="help" role="status"></p>';
    offered.firstChild.ariaLabel = field.labels[0].firstChild.textContent.trim();
    offered.lastChild.dataset.more = list.dataset.more;
    field.after(offered);
  }
  const wanted = plain(field.value);
  const fitting = [...list.options].map((option) => option.value).filter((name) => plain(name).includes(wanted));
  const chips = fitting.slice(0, MOST).map((name) =>
    Object.assign(document.createElement("button"), { type: "button", className: "chip", textContent: name }),
  );
  offered.firstChild.replaceChildren(...chips);
  offered.hidden = !chips.length || (chips.length === 1 && plain(chips[0].textContent) === wanted);
  showRemaining(offered.lastChild, fitting.length - chips.length);
}

const suggesting = (target) => target.closest(".field")?.querySelector("[data-suggest]");

for (const name of ["focusin", "input"]) {
  document.addEventListener(name, (event) => {
    if (event.target.matches("[data-suggest]")) suggest(event.target);
  });
}

document.addEventListener("click", (event) => {
  const chip = event.target.closest(".offered .chip");
  if (!chip) return;
  const field = suggesting(chip);
  field.value = chip.textContent;
  field.focus();
  field.dispatchEvent(new Event("change", { bubbles: true }));
  chip.closest(".offered").hidden = true;
});

document.addEventListener("focusout", (event) => {
  const field = suggesting(event.target);
  const offered = field?.parentElement.querySelector(".offered");
  if (offered && !field.parentElement.contains(event.relatedTarget)) offered.hidden = true;
});

document.addEventListener("keydown", (event) => {
  const offered = event.key === "Escape" && event.target.closest(".field")?.querySelector(".offered:not([hidden])");
  if (!offered) return;
  suggesting(event.target).focus();
  offered.hidden = true;
});
