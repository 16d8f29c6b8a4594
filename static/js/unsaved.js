// Input in a form with data-unsaved="user" is kept in this tab until it is saved, so that an expired session loses
// nothing. Leaving the page asks first. data-dirty: the form already has unsaved input.
const PREFIX = "unsaved ";
const form = document.querySelector("form[data-unsaved]");
const key = form && `${PREFIX}${form.dataset.unsaved} ${location.pathname}`;
let leaving = false;
let discarded = false;

const typed = () =>
  [...new FormData(form)].filter(
    ([name, value]) =>
      name !== "csrfmiddlewaretoken" && typeof value === "string" && form.elements[name]?.type !== "password",
  );
const withoutVersion = (entries) => JSON.stringify(entries.filter(([name]) => name !== "version"));

// Submitted input was saved if another page follows: only a sign-in leads back to the form.
for (const name of Object.keys(sessionStorage)) {
  if (name.startsWith(PREFIX) && name !== key && JSON.parse(sessionStorage.getItem(name)).sent) sessionStorage.removeItem(name);
}

function restore(entries) {
  form.dispatchEvent(new CustomEvent("unsaved:restore", { detail: entries, bubbles: true }));
  for (const element of form.elements) {
    if (!element.name || (!element.willValidate && element.type !== "hidden") || element.name === "csrfmiddlewaretoken") continue;
    const values = entries.filter(([name]) => name === element.name).map(([, value]) => value);
    if (element.type === "checkbox" || element.type === "radio") element.checked = values.includes(element.value);
    else if (values.length && element.type !== "submit" && element.type !== "password") element.value = values[0];
  }
}

if (form) {
  const opened = form.hasAttribute("data-dirty") ? "" : withoutVersion(typed());
  const kept = JSON.parse(sessionStorage.getItem(key) ?? "null");
  sessionStorage.removeItem(key);
  // data-saved: the page follows the saving of this form, which may have changed what was typed.
  const saved = kept?.sent && form.hasAttribute("data-saved");
  if (kept && !saved && withoutVersion(kept.entries) !== withoutVersion(typed()) && !document.querySelector("main [role=alert]")) {
    restore(kept.entries);
    document.getElementById("restored")?.removeAttribute("hidden");
    // htmx listens only from then on.
    document.addEventListener("DOMContentLoaded", () => {
      form.querySelector("[name]:not([type=hidden])").dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
  const changed = () => withoutVersion(typed()) !== opened;
  const keep = (sent) => {
    if (changed()) sessionStorage.setItem(key, JSON.stringify({ entries: typed(), sent }));
    else sessionStorage.removeItem(key);
  };
  if (changed()) keep(false);
  for (const name of ["input", "change"]) form.addEventListener(name, () => keep(false));
  form.addEventListener("submit", (event) => {
    leaving = true;
    keep(true);
  });
  form.addEventListener("click", (event) => {
    discarded = event.target.closest("[data-discard]") !== null;
    leaving ||= discarded;
  });
  addEventListener("pagehide", () => {
    if (discarded) sessionStorage.removeItem(key);
  });
  // The sign-in has expired, and htmx is about to go there.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (event.detail.xhr.getResponseHeader("HX-Redirect")) leaving = true;
  });
  addEventListener("beforeunload", (event) => {
    if (!leaving && changed()) event.preventDefault();
  });
}
