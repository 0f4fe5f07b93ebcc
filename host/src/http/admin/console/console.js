// The console: asks the admin API with the operator's token and draws what it says.
// Nothing from elsewhere, no markup made of text.
"use strict";

const OUTCOMES = ["authenticated", "anonymous", "unauthenticated", "forbidden", "unavailable", "malformed", "broken"];
const SAMPLES = 120;
const EVERY = 1000;
const STORED = "vestibule-admin-token";
const $ = (id) => document.getElementById(id);

// Elements.

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
};
const draw = (name, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const fill = (id, ...children) => $(id).replaceChildren(...children.flat());

// Numbers and times.

const number = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
const duration = (seconds) => {
  if (seconds === null) return "–";
  if (seconds < 1e-3) return `${number(seconds * 1e6)} µs`;
  if (seconds < 1) return `${number(seconds * 1e3)} ms`;
  return `${number(seconds)} s`;
};
const time = (at) => (at ? new Date(at * 1000).toISOString().replace("T", " ").slice(0, 19) : "–");
const short = (digest) => (digest ? digest.slice(0, 12) : "–");

// The API.

let token = sessionStorage.getItem(STORED);

class Refused extends Error {}

const ask = async (path, method = "GET", body) => {
  const headers = { authorization: `Bearer ${token}` };
  if (body) headers["content-type"] = "application/json";
  const response = await fetch(`/admin/api/${path}`, {
    method, headers, body: body && JSON.stringify(body), cache: "no-store", credentials: "omit",
  });
  if (response.status === 401) throw new Refused("The token is not the one.");
  const document = await response.json();
  if (!response.ok) throw new Error(document.detail ?? response.statusText);
  return document;
};

let forgetting;
const tell = (text) => {
  clearTimeout(forgetting);
  $("told").textContent = text;
  $("told").hidden = false;
  forgetting = setTimeout(() => { $("told").hidden = true; }, 5000);
};

const attempt = async (work) => {
  try {
    await work();
  } catch (error) {
    if (error instanceof Refused) close(error.message);
    else tell(error.message);
  }
};

// A question before anything is changed.
const confirmed = (title, body, yes, grave = false) => new Promise((done) => {
  $("ask-title").textContent = title;
  fill("ask-body", body);
  $("ask-yes").textContent = yes;
  $("ask-yes").classList.toggle("grave", grave);
  const dialog = $("ask");
  dialog.returnValue = "no";
  dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  dialog.showModal();
});

// Charts: the last two minutes, one sample a second.

let WIDTH = 1000;
const HEIGHT = 208;
const LEFT = 56;
const BOTTOM = 20;

const nice = (top) => {
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= top);
};
const x = (index) => LEFT + (index / (SAMPLES - 1)) * (WIDTH - LEFT);

const frame = (marks, label) => {
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const [y, text] of marks) {
    svg.append(draw("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y, y2: y }));
    const mark = draw("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" });
    mark.textContent = text;
    svg.append(mark);
  }
  for (const [index, text] of [[0, "2 min ago"], [(SAMPLES - 1) / 2, "1 min"], [SAMPLES - 1, "now"]]) {
    const anchor = index === 0 ? "start" : index === SAMPLES - 1 ? "end" : "middle";
    const mark = draw("text", { x: x(index), y: HEIGHT - 3, "text-anchor": anchor });
    mark.textContent = text;
    svg.append(mark);
  }
  return svg;
};

// As wide as there is room, so that letters keep their shape.
const measure = (id) => { WIDTH = $(id).clientWidth || WIDTH; };

const stacked = (samples) => {
  measure("decisions");
  const sums = samples.map((sample) => OUTCOMES.reduce((sum, name) => sum + (sample.rates[name] ?? 0), 0));
  const top = nice(Math.max(1, ...sums));
  const room = HEIGHT - BOTTOM - 8;
  const y = (value) => 8 + room * (1 - value / top);
  const now = OUTCOMES.map((name) => `${name} ${number(samples.at(-1)?.rates[name] ?? 0)}`).join(", ");
  const svg = frame([0, .5, 1].map((part) => [y(top * part), number(top * part)]), `Decisions per second now: ${now}`);
  const offset = SAMPLES - samples.length;
  const base = samples.map(() => 0);
  for (const name of OUTCOMES) {
    const lower = samples.map((_, index) => `${x(offset + index)},${y(base[index])}`).reverse();
    samples.forEach((sample, index) => { base[index] += sample.rates[name] ?? 0; });
    const upper = samples.map((_, index) => `${x(offset + index)},${y(base[index])}`);
    if (samples.some((sample) => sample.rates[name])) {
      const area = draw("polygon", { class: "area", points: [...upper, ...lower].join(" ") });
      area.style.fill = `var(--${name})`;
      svg.append(area);
    }
  }
  fill("decisions", svg);
  const latest = samples.at(-1)?.rates ?? {};
  fill("outcomes", OUTCOMES.filter((name) => latest[name] || samples.some((sample) => sample.rates[name]) || name === "authenticated")
    .map((name) => entry(name, name, number(latest[name] ?? 0))));
};

const entry = (colour, name, value) => {
  const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.setProperty("--of", `var(--${colour})`);
  return make("li", {}, swatch, `${name} `, make("b", {}, value));
};

const LINES = [["p50", "p50"], ["p99", "p99"], ["component", "component p50"]];

// Times differ by powers of ten, and so does the scale.
const lines = (samples) => {
  measure("latency");
  const values = samples.flatMap((sample) => LINES.map(([key]) => sample[key])).filter((value) => value);
  const low = 10 ** Math.floor(Math.log10(Math.min(1e-4, ...values)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(1e-3, ...values)));
  const room = HEIGHT - BOTTOM - 8;
  const y = (value) => 8 + room * (1 - Math.log(Math.max(value, low) / low) / Math.log(high / low));
  const marks = [];
  for (let mark = low; mark <= high * 1.001; mark *= 10) marks.push([y(mark), duration(mark)]);
  const latest = samples.findLast((sample) => sample.p50 !== null) ?? {};
  const now = LINES.map(([key, name]) => `${name} ${duration(latest[key] ?? null)}`);
  const svg = frame(marks, `Latency now: ${now.join(", ")}`);
  const offset = SAMPLES - samples.length;
  for (const [key] of LINES) {
    let path = "";
    samples.forEach((sample, index) => {
      const before = samples[index - 1]?.[key] ?? null;
      if (sample[key] !== null) path += `${before === null ? "M" : "L"}${x(offset + index)} ${y(sample[key])}`;
    });
    const line = draw("path", { class: "line", d: path || "M0 0" });
    line.style.stroke = `var(--${key})`;
    svg.append(line);
  }
  fill("latency", svg);
  fill("percentiles", LINES.map(([key, name]) => entry(key, name, duration(latest[key] ?? null))));
};

// The time within which a part of what came between two readings was done.
const quantile = (part, before, after, bounds) => {
  const counts = after.buckets.map((count, index) => count - before.buckets[index]);
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all <= 0) return null;
  let left = part * all;
  for (const [index, count] of counts.entries()) {
    if (count > 0 && left <= count) {
      const lower = index === 0 ? 0 : bounds[index - 1];
      const upper = bounds[index] ?? bounds.at(-1);
      return lower + (upper - lower) * (left / count);
    }
    left -= count;
  }
  return bounds.at(-1);
};

// Overview.

const samples = [];
let reading = null;

const tile = (name, value, unit = "") =>
  make("div", {}, make("dt", {}, name), make("dd", {}, value, unit ? make("small", {}, ` ${unit}`) : ""));

const overview = (figures, at) => {
  if (reading && figures.total.count >= reading.figures.total.count) {
    const seconds = Math.max((at - reading.at) / 1000, 0.001);
    const rates = {};
    for (const name of OUTCOMES) {
      rates[name] = Math.max(0, (figures.decisions[name] - reading.figures.decisions[name]) / seconds);
    }
    const of = (part, key) => quantile(part, reading.figures[key], figures[key], figures.bounds);
    samples.push({ rates, p50: of(.5, "total"), p99: of(.99, "total"), component: of(.5, "strategy_time") });
    if (samples.length > SAMPLES) samples.shift();
  }
  reading = { figures, at };
  const latest = samples.at(-1);
  const { strategy } = figures;
  $("since").textContent = `${strategy.name} ${strategy.version} · ${short(strategy.digest)} · Vestibule ${figures.version}`;
  const sum = (object) => Object.values(object).reduce((total, count) => total + count, 0);
  const recent = samples.findLast((sample) => sample.p50 !== null);
  fill("tiles",
    tile("Decisions", number(latest ? sum(latest.rates) : 0), "per second"),
    tile("Latency p50", duration(recent?.p50 ?? null)),
    tile("Latency p99", duration(recent?.p99 ?? null)),
    tile("Strategy calls", number(figures.running), `of ${figures.places} at once`));
  fill("counts",
    tile("Decisions so far", number(sum(figures.decisions))),
    tile("Refreshes", number(sum(figures.refreshes))),
    tile("Leases held", number(figures.leases)),
    tile("Rate limited", number(sum(figures.limits))),
    tile("Strategy failures", number(sum(figures.failures))),
    tile("Requests to others", number(sum(figures.exchanges))));
  const failing = figures.audit.failing;
  $("alarm").hidden = !failing;
  $("alarm").textContent = failing
    ? "The audit cannot be written. Log-ins, new keys and the reading of secrets are refused until it can." : "";
  $("health").textContent = failing ? "audit failing" : figures.quarantined ? "quarantine" : "serving";
  $("health").className = `pill ${failing || figures.quarantined ? "bad" : "good"}`;
  if (view() === "overview") {
    stacked(samples);
    lines(samples);
  }
};

// Tables.

const table = (id, columns, rows, nothing) => {
  if (rows.length === 0) return fill(id, make("p", { class: "empty" }, nothing));
  const head = make("tr", {}, columns.map((name) => make("th", { scope: "col" }, name || make("span", { "aria-label": "Action" }))));
  fill(id, make("table", {}, make("thead", {}, head), make("tbody", {}, rows)));
};
// A digest is told from others by how it begins.
const brief = (text) => text?.replace(/\b[0-9a-f]{64}\b/g, (digest) => `${short(digest)}…`);
const cell = (content, kind = "") => make("td", {
  class: kind, title: typeof content === "string" && brief(content) !== content ? content : null,
}, (typeof content === "string" ? brief(content) : content) ?? "–");
const mono = (text) => make("span", { class: "mono" }, text ?? "–");
const badge = (text, kind = "") => make("span", { class: `badge ${kind}` }, text);
const severity = (status) => (status >= 500 ? "bad" : status === 429 ? "" : "warn");

const denials = async () => {
  const rows = await ask("denials");
  table("denial-rows", ["Time (UTC)", "Status", "Route", "Reason", "User", "Request"], rows.map((denial) => make("tr", {},
    cell(time(denial.at), "tight"), cell(badge(denial.status, severity(denial.status)), "tight"), cell(mono(denial.route)),
    cell(denial.reason), cell(denial.user), cell(mono(denial.request_id), "tight"))), "Nobody was refused since the start.");
};

const wanted = { sessions: "", keys: "" };
const query = (of) => (wanted[of] ? `${of}?user=${encodeURIComponent(wanted[of])}` : of);

const ender = (label, title, body, yes, path, done) => make("button", {
  type: "button", class: "danger", "aria-label": label,
  onclick: () => attempt(async () => {
    if (!(await confirmed(title, make("p", {}, body), yes, true))) return;
    await ask(path, "DELETE");
    tell(done);
    await show();
  }),
}, yes);

const sessions = async () => {
  const rows = await ask(query("sessions"));
  table("session-rows", ["User", "Began (UTC)", "Last seen", "Ends at the latest", ""], rows.map((session) => make("tr", {},
    cell(session.user), cell(time(session.created_at), "tight"), cell(time(session.seen_at), "tight"), cell(time(session.expires_at), "tight"),
    cell(ender(`End a session of ${session.user}`, "End this session?", `${session.user} is signed out in that browser at once.`,
      "End", `sessions/${encodeURIComponent(session.id)}`, "The session is over."), "end tight"))), "Nobody is signed in.");
};

const keys = async () => {
  const rows = await ask(query("keys"));
  table("key-rows", ["User", "Name", "Key", "Scopes", "Made (UTC)", "Last used", "Expires", ""], rows.map((key) => make("tr", {},
    cell(key.user), cell(key.name), cell(mono(key.display), "tight"), cell(key.scopes.join(" ")), cell(time(key.created_at), "tight"),
    cell(time(key.last_used_at), "tight"), cell(key.expires_at ? time(key.expires_at) : "never", "tight"),
    cell(ender(`Revoke the key ${key.name} of ${key.user}`, `Revoke the key ${key.name}?`,
      `Whatever uses this key of ${key.user} is refused at once. It cannot be undone.`,
      "Revoke", `keys/${encodeURIComponent(key.id)}`, "The key is good no more."), "end tight"))), "There are no API keys.");
};

const audit = async () => {
  const rows = await ask("audit?limit=100");
  const kind = { done: "good", refused: "warn", failed: "bad" };
  table("audit-rows", ["Time (UTC)", "Who", "From", "Action", "What", "Outcome", "Why"], rows.map((one) => make("tr", {},
    cell(time(one.at), "tight"), cell(one.actor), cell(one.address, "tight"), cell(mono(one.action), "tight"), cell(one.target),
    cell(badge(one.outcome, kind[one.outcome] ?? ""), "tight"), cell(one.reason))), "Nothing is written down yet.");
};

// Strategy.

const STATES = { serving: "good", previous: "", quarantined: "bad" };

const fact = (name, value) => [make("dt", {}, name), make("dd", {}, value)];
const chips = (items) => make("ul", { class: "chips" }, items.map((item) => make("li", { class: "mono" }, item)));

const generation = (one, actions) => {
  const granted = Object.entries(one.grants).filter(([, values]) => Array.isArray(values) && values.length > 0);
  return make("article", { class: "card generation" },
    make("div", { class: "head" },
      make("h2", {}, make("span", {}, one.name), make("span", {}, one.version), badge(one.state, STATES[one.state])),
      make("div", { class: "buttons flat" }, actions)),
    make("dl", { class: "facts" },
      fact("Digest", mono(one.digest)), fact("Contract", mono(one.contract)), fact("Signature", one.signature.replace("-", " "))),
    make("h3", {}, "Granted"),
    granted.length === 0 ? make("p", { class: "quiet" }, "nothing")
      : make("dl", { class: "facts" }, granted.flatMap(([name, values]) => fact(name, chips(values)))),
    make("h3", {}, "Imports"), one.imports.length === 0 ? make("p", { class: "quiet" }, "nothing") : chips(one.imports));
};

const difference = (entries) => make("div", { class: "diff mono" },
  entries.map(([sign, text]) => make("div", { class: sign === "+" ? "plus" : sign === "-" ? "minus" : "" }, `${sign} ${text}`)));

const flat = (one) => Object.entries(one.grants).flatMap(([name, values]) =>
  (Array.isArray(values) ? values.map((value) => `${name}: ${value}`) : [])).concat(one.imports.map((name) => `import ${name}`));

const between = (from, to) => {
  const [before, after] = [flat(from), flat(to)];
  return difference([
    ["-", `${from.name} ${from.version} ${short(from.digest)}`], ["+", `${to.name} ${to.version} ${short(to.digest)}`],
    ...before.filter((item) => !after.includes(item)).map((item) => ["-", item]),
    ...after.filter((item) => !before.includes(item)).map((item) => ["+", item]),
  ]);
};

const approve = (refused, current) => attempt(async () => {
  const asks = refused.asks_for.length > 0 ? refused.asks_for.map((item) => ["+", item]) : [[" ", "nothing beyond what is approved"]];
  const body = [
    make("p", {}, "It serves at once, in the place of ", make("b", {}, `${current.name} ${current.version}`), "."),
    make("p", { class: "reason quiet" }, refused.reason),
    difference([["-", short(current.digest)], ["+", short(refused.digest)], ...asks]),
  ];
  if (!(await confirmed("Approve this component?", make("div", {}, body), "Approve"))) return;
  if (refused.downgrade) {
    const warning = "Its version is lower than the approved one. Faults that were mended since are in it again.";
    if (!(await confirmed("Take a lower version?", make("p", {}, warning), "Take the lower version", true))) return;
  }
  await ask("strategies/approve", "POST", { digest: refused.digest, allow_downgrade: refused.downgrade });
  tell("Approved. It serves now.");
  await show();
});

const rollBack = (current, previous) => attempt(async () => {
  const body = [
    make("p", {}, "The generation before serves at once; requests that are running end on the one they began with."),
    previous ? between(current, previous) : null,
  ];
  if (!(await confirmed("Roll back?", make("div", {}, body), "Roll back"))) return;
  await ask("strategies/rollback", "POST");
  tell("Rolled back.");
  await show();
});

const strategy = async () => {
  const all = await ask("strategies");
  const [current, ...others] = all.generations;
  const cards = all.generations.map((one, index) => generation(one, index === 0 && all.can_roll_back
    ? [make("button", { type: "button", class: "plain", onclick: () => rollBack(current, others[0]) }, "Roll back")] : []));
  if (all.quarantined) {
    const { name, version, in_its_place: instead } = all.quarantined;
    cards.unshift(make("p", { class: "alarm" }, `${name} ${version} broke for many and is out of service. ${instead ? "The generation before serves in its place." : "Nobody gets in until another generation is approved."}`));
  }
  if (all.refused) {
    const { refused } = all;
    const waits = refused.step === "lock" && refused.digest;
    cards.unshift(make("article", { class: "card generation waits" },
      make("div", { class: "head" },
        make("h2", {}, make("span", {}, refused.file.split("/").at(-1)), badge(waits ? "waits for approval" : `refused: ${refused.step}`, "warn")),
        make("div", { class: "buttons flat" }, waits
          ? [make("button", { type: "button", class: "primary", onclick: () => approve(refused, current) }, "Review and approve")] : [])),
      make("p", { class: "reason" }, refused.reason),
      refused.asks_for.length > 0 ? difference(refused.asks_for.map((item) => ["+", item])) : null));
  }
  fill("generations", cards);
};

// Views.

const VIEWS = { overview: async () => {}, strategy, denials, sessions, keys, audit };
const view = () => (location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "overview");

const show = async () => {
  const chosen = view();
  for (const name of Object.keys(VIEWS)) {
    $(name).hidden = name !== chosen;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${$(`${chosen}-title`).textContent} · Vestibule`;
  if (chosen === "overview" && reading) {
    stacked(samples);
    lines(samples);
  }
  await VIEWS[chosen]();
};

let ticking = null;
let asked = false;
let turns = 0;
const tick = () => attempt(async () => {
  // One that takes long is waited for.
  if (asked || document.hidden) return;
  asked = true;
  try {
    overview(await ask("figures"), performance.now());
    turns += 1;
    if (turns % 5 === 0 && ["denials", "strategy"].includes(view()) && !$("ask").open) await show();
  } catch (error) {
    if (error instanceof Refused) throw error;
    $("health").textContent = "no answer";
    $("health").className = "pill bad";
  } finally {
    asked = false;
  }
});

const open = async () => {
  overview(await ask("figures"), performance.now());
  sessionStorage.setItem(STORED, token);
  $("door").hidden = true;
  $("house").hidden = false;
  await show();
  clearInterval(ticking);
  ticking = setInterval(tick, EVERY);
};

const close = (why = "") => {
  clearInterval(ticking);
  sessionStorage.removeItem(STORED);
  token = null;
  $("house").hidden = true;
  $("door").hidden = false;
  $("refused").textContent = why;
  $("token").value = "";
  $("token").focus();
};

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  open().catch((error) => close(error.message));
});
$("leave").addEventListener("click", () => close());
addEventListener("hashchange", () => {
  if (!token) return;
  attempt(show);
  $("content").focus({ preventScroll: true });
});
for (const input of document.querySelectorAll("input[data-of]")) {
  input.addEventListener("input", () => {
    wanted[input.dataset.of] = input.value.trim();
    attempt(show);
  });
}
if (token) open().catch((error) => close(error instanceof Refused ? "" : error.message));
else close();
