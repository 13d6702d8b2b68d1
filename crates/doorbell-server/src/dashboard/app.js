// The dashboard's script: the lists, kept up to date; detail.js has what one request holds. It asks the public API and writes
// what it gets as text nodes only: what came from outside is never taken for markup.
"use strict";

const LATEST = 50;
const EVERY_MS = 10_000;
const SOON_MS = 700;
const at = (id) => document.getElementById(id);
const open = new Set();
let endpointNames = [];
let feed = null, timer = null, next = Infinity, asking = false, again = false, rest = SOON_MS;

/** An element with a class, and children: text, or elements. */
function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const plural = (count, one, more) => `${count} ${count === 1 ? one : more}`;

const TONES = {
  accepted: "good", delivered: "good", enabled: "good", receives: "good",
  rejected: "bad", failed: "bad", disabled: "bad", breaker_open: "bad",
  waiting: "wait", pending: "wait", scheduled: "wait", in_flight: "wait", paused: "wait",
};

function pill(word, text) {
  return make("span", `pill ${TONES[word] ?? ""}`, text ?? word.replaceAll("_", " "));
}

function clock(moment) {
  const date = new Date(moment), today = new Date().toDateString() === date.toDateString();
  const shown = make("time", "mono quiet", today ? date.toLocaleTimeString([], { hourCycle: "h23" }) : date.toLocaleDateString());
  shown.dateTime = moment;
  shown.title = date.toLocaleString();
  return shown;
}

class SignedOut extends Error {}

async function ask(path, method = "GET", body) {
  const headers = { accept: "application/json", ...body ? { "content-type": "application/json" } : {} };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (answer.status === 401 || (answer.status === 429 && feed === null)) throw new SignedOut();
  const told = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(`${told.detail} ${told.remedy}`);
  return told;
}

function sourceLine(source, base) {
  const state = source.enabled ? pill("receives") : pill("disabled");
  const head = make("div", "row", make("span", "name", source.name), make("span", "quiet", source.provider), make("span", "end", state));
  const from = source.from ? make("code", "address", `takes from ${source.from}`) : null;
  return make("li", "", head, make("code", "address", `${base}/${source.name}`), from);
}

/** What an endpoint gets, in words. */
function wants({ event_types, sources, channels, filter }) {
  const types = event_types.length ? event_types.join(", ") : "all events";
  const from = sources.length ? ` from ${sources.join(", ")}` : "";
  const within = channels.length ? ` in ${channels.length === 1 ? "channel" : "channels"} ${channels.join(", ")}` : "";
  return `${types}${from}${within}${filter ? ", filtered" : ""}`;
}

function endpointLine(endpoint) {
  const state = make("span", "end pills", ...breakerPills(endpoint.standing), pill(endpoint.status));
  const head = make("div", "row", make("span", "name", endpoint.name), make("span", "quiet", wants(endpoint)), state);
  const why = endpoint.disabled_because ? make("p", "quiet", endpoint.disabled_because) : null;
  return make("li", "", head, make("code", "address", endpoint.url), why, breakerLine(endpoint.standing));
}

function breakerPills(standing) {
  return !standing || standing.breaker === "closed" ? [] : [pill("breaker_open", `breaker ${standing.breaker.replace("_", " ")}`)];
}

/** Why deliveries to an endpoint wait, and when the next one is tried. */
function breakerLine(standing) {
  if (!standing || standing.breaker === "closed") return null;
  const next = standing.breaker === "half_open" ? ["One delivery is out to probe it."]
    : new Date(standing.next_probe_at) > new Date() ? ["Next probe at ", clock(standing.next_probe_at), "."] : ["The next delivery probes it."];
  return make("p", "quiet", "Since ", clock(standing.breaker_since), `: ${standing.breaker_because}. `, ...next,
    ` ${standing.waiting_in_memory} wait in memory, ${standing.in_flight} in flight.`);
}

function fatePills(request, tally) {
  const pills = [pill(request.fate)];
  for (const state of ["delivered", "waiting", "failed", "discarded"]) {
    if (tally?.[state]) pills.push(pill(state, `${tally[state]} ${state}`));
  }
  return make("span", "pills", ...pills);
}

/** A part that is filled when it is opened, and stays open when what is around it is made again. */
function foldable(key, summary, filled) {
  const inside = make("div", "inside");
  const details = make("details", "", summary, inside);
  details.dataset.key = key;
  details.open = open.has(key);
  if (details.open) filled(inside);
  details.addEventListener("toggle", () => {
    if (details.open === open.has(key)) return;
    if (details.open) { open.add(key); filled(inside); } else open.delete(key);
  });
  return details;
}

/** The line of a request: the one that is there, with how its deliveries stand by now, or a new one. */
function requestLine(request, tally, known) {
  const where = request.source ? request.source_name ?? "removed source" : "published";
  const filled = (inside) => guarded(() => fill(inside, request));
  const line = known ?? make("li", "", foldable(request.id, make("summary", "line"), filled));
  const details = line.firstChild;
  details.firstChild.replaceChildren(clock(request.at), make("span", "quiet", where),
    make("span", "name", request.event_type ?? `${request.method}, ${plural(request.body_len, "byte", "bytes")}`), fatePills(request, tally));
  if (known && details.open) filled(details.lastChild);
  return line;
}

/** Makes these the lines of a list. Those that are there are not moved, so that they keep where they were scrolled to. */
function arrange(list, lines) {
  lines.forEach((line, at) => { if (list.children[at] !== line) list.insertBefore(line, list.children[at] ?? null); });
  while (list.children.length > lines.length) list.lastElementChild.remove();
}

function fillList(id, lines, empty) {
  arrange(at(id), lines.length ? lines : [make("li", "quiet", empty)]);
}

async function refresh() {
  const status = await ask("/v1/status");
  const [sources, endpoints, requests, events] = await Promise.all([
    ask("/v1/sources?limit=100"), ask("/v1/endpoints?limit=100"),
    ask(`/v1/requests?limit=${LATEST}`), ask(`/v1/events?limit=${LATEST}`),
  ]);
  const tallies = new Map(events.data.map((event) => [event.id, event.deliveries]));
  endpointNames = endpoints.data.map((endpoint) => endpoint.name);
  const known = new Map([...at("requests").children].map((line) => [line.firstChild.dataset?.key, line]));
  fillList("sources", sources.data.map((source) => sourceLine(source, status.ingest_url)), "None yet: doorbell source create");
  fillList("endpoints", endpoints.data.map(endpointLine), "None yet: doorbell endpoint create");
  fillList("requests", requests.data.map((request) => requestLine(request, tallies.get(request.event), known.get(request.id))),
    "Nothing came in yet. Send something to one of the sources.");
  at("version").textContent = status.version;
  at("counts").textContent = status.store ? `${status.store.events} kept, ${plural(status.store.waiting, "delivery waits", "deliveries wait")}, ${status.store.failed} failed` : "";
  show(true);
}

function show(signedIn) {
  at("welcome").hidden = signedIn;
  at("shown").hidden = at("sign-out").hidden = !signedIn;
  if (signedIn) watch();
  else { feed?.close(); feed = null; clearTimeout(timer); next = Infinity; at("live").className = "live"; at("live").textContent = ""; }
}

/** The live feed only says that something happened; what it was is read from the lists. */
function watch() {
  if (feed && feed.readyState !== EventSource.CLOSED) return;
  feed = new EventSource("/v1/live");
  const tell = (on) => { at("live").className = on ? "live on" : "live"; at("live").textContent = on ? "live" : "connecting"; };
  feed.addEventListener("open", () => tell(true));
  feed.addEventListener("error", () => tell(false));
  feed.addEventListener("message", () => soon(rest));
}

async function guarded(work) {
  try {
    await work();
    at("trouble").hidden = true;
  } catch (error) {
    if (error instanceof SignedOut) return show(false);
    at("trouble").textContent = error instanceof TypeError ? "The server does not answer." : error.message;
    at("trouble").hidden = false;
  }
}

/** One refresh at a time; what happens meanwhile makes one more. A busy server is asked less often. */
async function turn() {
  if (asking) { again = true; return; }
  asking = true; again = false;
  const began = performance.now();
  await guarded(refresh);
  rest = Math.max(SOON_MS, 4 * (performance.now() - began));
  asking = false;
  if (!at("shown").hidden) soon(again ? rest : EVERY_MS);
}

function soon(wait) {
  const when = Date.now() + wait;
  if (when >= next) return;
  clearTimeout(timer);
  next = when;
  timer = setTimeout(() => { next = Infinity; turn(); }, wait);
}

at("sign-out").addEventListener("click", () => guarded(async () => { await ask("/logout", "POST"); show(false); }));
turn();
