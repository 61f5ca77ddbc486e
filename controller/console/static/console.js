// What a browser with scripts has more: parts of a page change as the fleet does, ages count on, a form asks for the name before it can be sent.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const say = (text) => { const p = $("announce"); if (p && text) p.textContent = text; };
  const two = (n) => String(n).padStart(2, "0");

  // age writes a duration in milliseconds as the server does.
  function age(ms) {
    const s = Math.max(0, ms) / 1000;
    if (s < 10) return (Math.floor(s * 10) / 10).toFixed(1) + "s";
    if (s < 60) return Math.floor(s) + "s";
    if (s < 3600) return Math.floor(s / 60) + "m" + two(Math.floor(s) % 60) + "s";
    if (s < 48 * 3600) return Math.floor(s / 3600) + "h" + two(Math.floor(s / 60) % 60) + "m";
    return Math.floor(s / 86400) + "d";
  }
  const skew = () => Date.now() - born + written;
  const first = document.querySelector("time[data-at]"), born = Date.now();
  // The browser's clock may be wrong: what counts is how far it has gone since the page was written.
  let written = born;
  if (first) { const m = /^(?:(\d+)d|(\d+)h(\d+)m|(\d+)m(\d+)s|([\d.]+)s)$/.exec(first.textContent);
    if (m) { const ms = m[1] ? m[1] * 864e5 : m[2] ? m[2] * 36e5 + m[3] * 6e4 : m[4] ? m[4] * 6e4 + m[5] * 1e3 : m[6] * 1e3;
      const at = +first.dataset.at + ms; if (Math.abs(at - born) > (m[1] ? 864e5 : m[2] ? 6e4 : 1500)) written = at; } }
  setInterval(() => { for (const t of document.querySelectorAll("time[data-at]")) { const a = age(skew() - t.dataset.at); if (t.textContent !== a) t.textContent = a; } }, 1000);

  // swap puts a part in place of what it was. What is being used is left as it is: an open menu, the focus; what is selected waits.
  const waiting = new Map();
  function swap(part) {
    const el = $(part.id);
    if (!el || el.dataset.part === part.sum) return;
    const s = document.getSelection();
    if (s && !s.isCollapsed && el.contains(s.anchorNode)) { waiting.set(part.id, part); return; }
    waiting.delete(part.id);
    const open = [...el.querySelectorAll("details[open][id]")].map((d) => d.id);
    const a = el.contains(document.activeElement) ? document.activeElement : null;
    const key = a && (a.id ? "#" + CSS.escape(a.id) : a.getAttribute("href") ? `[href="${CSS.escape(a.getAttribute("href"))}"]` : a.getAttribute("aria-describedby") ? `[aria-describedby="${CSS.escape(a.getAttribute("aria-describedby"))}"]` : a.tagName === "SUMMARY" ? "#" + CSS.escape(a.parentNode.id) + " > summary" : "");
    const typed = a && a.tagName === "INPUT" ? { value: a.value, start: a.selectionStart, end: a.selectionEnd } : null;
    const said = [...el.querySelectorAll("[data-say]")].map((x) => x.dataset.say);
    el.innerHTML = part.html;
    el.dataset.part = part.sum;
    for (const id of open) if ($(id)) $(id).open = true;
    const again = key && el.querySelector(key);
    if (again) { again.focus({ preventScroll: true }); if (typed) { again.value = typed.value; try { again.setSelectionRange(typed.start, typed.end); } catch { /* of this kind of field there is none */ } } }
    say([...el.querySelectorAll("[data-say]")].map((x) => x.dataset.say).filter((x) => !said.includes(x)).join(". "));
  }
  document.addEventListener("selectionchange", () => { for (const p of [...waiting.values()]) swap(p); });

  // live listens for what changes, and says when it can't.
  const button = $("live"), trouble = $("trouble");
  let source = null, heard = Date.now(), paused = false;
  const label = (text, lost) => { button.querySelector(".label").textContent = text; button.classList.toggle("lost", !!lost); };
  const worry = (text) => { if (!trouble) return; trouble.hidden = !text; if (trouble.textContent !== text) trouble.textContent = text; };
  function listen() {
    if (source) source.close();
    source = new EventSource(location.href);
    const ok = () => { heard = Date.now(); label("Live"); };
    source.addEventListener("part", (e) => { ok(); swap(JSON.parse(e.data)); });
    source.addEventListener("pulse", ok);
    source.addEventListener("open", ok);
    source.addEventListener("well", () => { ok(); worry(""); });
    source.addEventListener("trouble", (e) => { heard = Date.now(); label("No answer", true); worry("What is shown may be old: " + JSON.parse(e.data)); });
    source.addEventListener("error", () => {
      label("Not live", true);
      if (source.readyState === EventSource.CLOSED) { worry("This page is not live any more. Load it again; you may have to log in."); setTimeout(() => { if (!paused) listen(); }, 5000); }
    });
  }
  if (button && !document.body.hasAttribute("data-still")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(!paused));
      if (paused) { source.close(); source = null; label("Paused"); } else listen();
    });
    addEventListener("pagehide", () => { if (source) source.close(); });
    addEventListener("pageshow", (e) => { if (e.persisted && !paused) listen(); });
    setInterval(() => { if (!paused && Date.now() - heard > 40000) { label("Not live", true); worry("Nothing has been heard from the controller for " + age(Date.now() - heard) + ": what is shown may be old."); } }, 5000);
    listen();
  }

  // A form that filters asks for its parts as it changes.
  document.addEventListener("input", (e) => {
    const f = e.target.form;
    if (!f || !f.hasAttribute("data-auto")) return;
    clearTimeout(f.later);
    f.later = setTimeout(async () => {
      const q = new URLSearchParams();
      for (const [k, v] of new FormData(f)) if (v) q.set(k, v);
      const to = f.action.split("?")[0] + (q.size ? "?" + q : "");
      const r = await fetch(to, { headers: { "X-Parts": "1" } });
      if (!r.ok || r.redirected) { location.href = to; return; }
      history.replaceState(null, "", to);
      for (const p of await r.json()) swap(p);
      if (!paused) listen();
    }, 250);
  });

  // A form that moves something can be sent once the name is typed, and once only.
  for (const f of document.querySelectorAll("form[data-confirm]")) {
    const name = f.querySelector("[name=name]"), b = f.querySelector("button");
    const look = () => { b.disabled = name.value.trim() !== f.dataset.confirm; };
    name.addEventListener("input", look);
    look();
  }
  document.addEventListener("submit", (e) => {
    if (e.target.method !== "post") return;
    if (e.target.sent) { e.preventDefault(); return; }
    e.target.sent = true;
    setTimeout(() => { e.target.sent = false; }, 12000);
  });

  // Menus close when something else is clicked, or by Escape.
  document.addEventListener("click", (e) => { for (const d of document.querySelectorAll("details.menu[open]")) if (!d.contains(e.target)) d.open = false; });
  document.addEventListener("keydown", (e) => {
    if (e.key !== "Escape") return;
    for (const d of document.querySelectorAll("details.menu[open]")) { d.open = false; d.querySelector("summary").focus(); }
  });
})();
