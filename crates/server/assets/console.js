// What links and forms cannot do alone: copying, downloads of a secret that was just shown, passkeys.

document.documentElement.classList.add("scripted");

const announcer = document.getElementById("announce");

function announce(text) {
  announcer.textContent = "";
  setTimeout(() => (announcer.textContent = text), 50);
}

function textOf(id) {
  return document.getElementById(id).textContent.trim();
}

function select(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

// Where there is no secure context there is no clipboard: then the old way, and else the keyboard.
async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  let copied = false;
  try {
    if (isSecureContext && navigator.clipboard) {
      await navigator.clipboard.writeText(textOf(source.id));
      copied = true;
    }
  } catch {
    copied = false;
  }
  if (!copied) {
    select(source);
    copied = document.execCommand("copy");
  }
  if (copied) getSelection().removeAllRanges();
  announce(copied ? announcer.dataset.copied : announcer.dataset.uncopied);
  const label = button.textContent;
  button.textContent = copied ? announcer.dataset.copied : announcer.dataset.uncopied;
  setTimeout(() => (button.textContent = label), 2000);
}

function download(kind) {
  const [accessKey, secret] = [textOf("access-key"), textOf("secret")];
  const text = kind === "env"
    ? `KEYWARD_ACCESS_KEY=${accessKey}\nKEYWARD_TOKEN=${secret}\n`
    : JSON.stringify({ access_key: accessKey, secret }, null, 2) + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  link.download = kind === "env" ? "keyward.env" : "keyward-key.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function send(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return text ? JSON.parse(text) : {};
}

async function proof(options) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey ?? options);
  return (await navigator.credentials.get({ publicKey })).toJSON();
}

// A passkey alone, as second factor, or as a proof in between.
const passkeys = {
  async login() {
    const asked = await send("/v1/auth/login/options", {});
    await send("/v1/auth/login/passkey", { passkey: await proof(asked.options), cookie: true });
  },
  async factor(place) {
    const passkey = await proof(JSON.parse(place.options));
    await send("/v1/auth/login/factor", { challenge: place.challenge, passkey, cookie: true });
  },
  async add(place) {
    const made = await send("/v1/auth/factors/passkey", { name: place.name });
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(made.options.publicKey ?? made.options);
    const passkey = (await navigator.credentials.create({ publicKey })).toJSON();
    const confirmed = await send(`/v1/auth/factors/${made.id}/confirm`, { passkey });
    return confirmed.recovery_codes;
  },
  async "step-up"() {
    const asked = await send("/v1/auth/step-up/options", {});
    await send("/v1/auth/step-up", { passkey: await proof(asked.options) });
  },
};

async function usePasskey(button) {
  const place = document.getElementById("passkey");
  try {
    const codes = await passkeys[button.dataset.passkey](place.dataset);
    if (codes) {
      const shown = document.getElementById("codes");
      shown.querySelector("pre").textContent = codes.join("\n");
      shown.classList.remove("hidden");
      return;
    }
    const to = place.dataset.returnTo;
    location.assign(to && to.startsWith("/console") ? to : "/console");
  } catch {
    announce(place.dataset.failed);
    let fault = place.querySelector(".fault");
    if (!fault) {
      fault = document.createElement("span");
      fault.className = "fault";
      place.append(fault);
    }
    fault.textContent = place.dataset.failed;
  }
}

// Rows of a list: all of them without a reload, and with the Shift key those in between.
let picked = null;

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-pick]");
  const box = event.target.closest("input[name=id][type=checkbox]");
  if (!link && !box) return;
  const boxes = [...(link ?? box).closest("form").querySelectorAll("input[name=id][type=checkbox]")];
  if (link) {
    event.preventDefault();
    boxes.forEach((one) => (one.checked = link.dataset.pick === "all"));
    return;
  }
  const [from, to] = [boxes.indexOf(picked), boxes.indexOf(box)].sort((a, b) => a - b);
  if (event.shiftKey && from >= 0) boxes.slice(from, to + 1).forEach((one) => (one.checked = box.checked));
  picked = box;
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.copy) copy(button);
  if (button.dataset.download) download(button.dataset.download);
  if (button.dataset.passkey) usePasskey(button);
});

// A fault is read out, and stands in view.
document.querySelector(".summary")?.focus();

// On a small screen the menu begins closed.
if (matchMedia("(max-width: 48rem)").matches) document.querySelector(".menu")?.removeAttribute("open");

// The token of a link stands behind #, and leaves the address as soon as it is read.
const fromFragment = document.querySelector("[data-from-fragment]");
if (fromFragment && location.hash.length > 1) {
  fromFragment.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
