// Says in time that the session ends, and never loses what stands in a form (WCAG 2.2.1).

const dialog = document.getElementById("session");
const MINUTE = 60;
// Seconds before the end without use, and before the end for good.
const WARNING = { idle: 2 * MINUTE, ends: 5 * MINUTE };

const seconds = () => Date.now() / 1000;
const ends = {};
let told = "";

function lasts(idle, end) {
  ends.idle = seconds() + idle;
  ends.ends = seconds() + end;
  // Short sessions are warned about when half of them is over.
  ends.idleWarning = ends.idle - Math.min(WARNING.idle, idle / 2);
  ends.endsWarning = ends.ends - Math.min(WARNING.ends, end / 2);
  told = "";
}

function show(which) {
  told = which;
  for (const part of dialog.querySelectorAll("[data-case]")) {
    part.hidden = !part.dataset.case.split(" ").includes(which);
  }
  if (!dialog.open) dialog.showModal();
}

function look() {
  const now = seconds();
  if (now >= Math.min(ends.idle, ends.ends)) {
    if (told !== "over" && told !== "failed") show("over");
  } else if (now >= ends.endsWarning) {
    if (told === "" || told === "idle") show("ends");
  } else if (now >= ends.idleWarning && told === "") {
    show("idle");
  }
}

// Any request is a use. The form takes the mark of a new session, if it is one of the same user.
async function renew() {
  try {
    const answer = await fetch(dialog.dataset.path, { redirect: "manual", cache: "no-store" });
    const lives = answer.ok ? await answer.json() : null;
    if (lives?.user !== dialog.dataset.user) return show("failed");
    for (const field of document.querySelectorAll("input[name=form_token]")) field.value = lives.form_token;
    lasts(lives.idle, lives.ends);
    dialog.close();
    others?.postMessage([lives.idle, lives.ends]);
  } catch {
    show("failed");
  }
}

// A use in one window is a use for all.
const others = "BroadcastChannel" in window ? new BroadcastChannel("keyward-session") : null;
others?.addEventListener("message", ({ data: [idle, end] }) => {
  if (seconds() >= Math.min(ends.idle, ends.ends)) return;
  lasts(idle, end);
  if (dialog.open) dialog.close();
});

// What the page asks for by itself is no use.
document.addEventListener("htmx:after:request", (event) => {
  if (event.target.dataset?.poll !== undefined) return;
  const idle = Number(dialog.dataset.idle);
  const end = ends.ends - seconds();
  if (end > 0 && seconds() < ends.idle) lasts(Math.min(idle, end), end);
});

dialog.addEventListener("click", (event) => {
  const wanted = event.target.closest("[data-session]")?.dataset.session;
  if (wanted === "renew") renew();
  if (wanted === "close") dialog.close();
});

// A form that was sent now would be lost on the way to the login.
document.addEventListener("submit", (event) => {
  if (seconds() < Math.min(ends.idle, ends.ends)) return;
  event.preventDefault();
  show("over");
});

lasts(Number(dialog.dataset.idle), Number(dialog.dataset.ends));
others?.postMessage([Number(dialog.dataset.idle), Number(dialog.dataset.ends)]);
setInterval(look, 1000);
// A browser that slept has missed its seconds.
document.addEventListener("visibilitychange", look);
