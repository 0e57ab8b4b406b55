// Goes to a page, a key or a user by keyboard. What is found are links that the page has, and its filters.

const palette = document.getElementById("palette");
const shortcuts = document.getElementById("shortcuts");
const text = document.getElementById("palette-text");
const found = document.getElementById("palette-found");
const none = document.getElementById("palette-none");
const MOST = 12;

const pages = [...document.querySelectorAll("nav.side a")].map((link) => ({
  name: link.textContent.trim(),
  section: link.closest("ul").previousElementSibling?.matches("h2")
    ? link.closest("ul").previousElementSibling.textContent.trim()
    : "",
  path: link.getAttribute("href"),
}));
const has = (path) => pages.some((page) => page.path === path);
const keys = ["/console/keys", "/console/me/keys"].find(has);
const users = ["/console/users"].find(has);

function results(wanted) {
  const word = wanted.toLowerCase();
  const list = pages
    .filter((page) => `${page.section} ${page.name}`.toLowerCase().includes(word))
    .map((page) => ({ path: page.path, name: page.section ? `${page.section} › ${page.name}` : page.name }));
  if (!wanted) return list;
  const add = (path, name) => list.push({ path, name: name.replace("{}", () => wanted) });
  const part = encodeURIComponent(wanted);
  if (keys && /^key_\w+$/.test(wanted)) add(`/console/keys/${part}`, palette.dataset.key);
  else if (keys) add(`${keys}?q=${part}`, palette.dataset.keys);
  if (users && /^user_\w+$/.test(wanted)) add(`/console/users/${part}`, palette.dataset.user);
  else if (users) add(`${users}?q=${part}`, palette.dataset.users);
  return list;
}

function fill() {
  const list = results(text.value.trim());
  // Keys and users stand last, and are never cut off.
  const shown = list.length > MOST ? [...list.slice(0, MOST - 2), ...list.slice(-2)] : list;
  found.replaceChildren(...shown.map(({ path, name }) => {
    const [item, link] = [document.createElement("li"), document.createElement("a")];
    link.href = path;
    link.textContent = name;
    item.append(link);
    return item;
  }));
  none.textContent = shown.length ? "" : palette.dataset.none;
}

function open(dialog) {
  if (dialog.open) return;
  for (const other of [palette, shortcuts]) if (other.open) other.close();
  dialog.showModal();
  if (dialog !== palette) return;
  text.value = "";
  fill();
  text.focus();
}

function move(event, step) {
  const links = [...found.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement) + step;
  event.preventDefault();
  if (at < 0) text.focus();
  else links[Math.min(at, links.length - 1)]?.focus();
}

text.addEventListener("input", fill);
palette.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "ArrowDown") move(event, 1);
  if (event.key === "ArrowUp") move(event, -1);
  if (event.key === "Enter" && event.target === text) {
    event.preventDefault();
    found.querySelector("a")?.click();
  }
});

document.addEventListener("click", (event) => {
  const wanted = event.target.closest("[data-palette]")?.dataset.palette;
  if (wanted === "open") open(palette);
  if (wanted === "help") open(shortcuts);
  if (wanted === "close") event.target.closest("dialog").close();
});

const isTyping = (element) => element.closest("input, select, textarea, [contenteditable]") !== null;
const places = { o: "/console", k: keys, u: users, a: ["/console/audit"].find(has) };
let began = 0;

// Keys without Ctrl can be switched off (WCAG 2.1.4), and never act where somebody types.
document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.altKey) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    open(palette);
    return;
  }
  const isFree = "singleKeys" in palette.dataset && !event.ctrlKey && !event.metaKey;
  if (!isFree || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const place = event.timeStamp - began < 1500 ? places[event.key] : undefined;
  began = event.key === "g" ? event.timeStamp : 0;
  if (place) location.assign(place);
  else if (event.key === "/") open(palette);
  else if (event.key === "?") open(shortcuts);
  else return;
  event.preventDefault();
});
