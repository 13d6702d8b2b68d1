// What one request holds: how it came in, why it was turned away, where it went, and every try. As in app.js, what came from
// outside is written as text nodes only.
"use strict";

const DELIVERIES = 20;
const ATTEMPTS = 20;
const HEX_BYTES = 4096;
const PHASES = [["dns_ms", "DNS"], ["connect_ms", "connect"], ["tls_ms", "TLS"], ["first_byte_ms", "first byte"]];
/** Attempts by delivery: so many are known, and those do not change any more. */
const tried = new Map();
/** What each list of deliveries was made of. */
const shownOf = new WeakMap();

/** JSON with line breaks; numbers and texts stay as they were written. `null`: it is none. */
function indented(text) {
  try { JSON.parse(text); } catch { return null; }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g);
  let lines = "", depth = 0;
  const next = () => `\n${"  ".repeat(Math.min(depth, 32))}`;
  tokens.forEach((token, at) => {
    if (token === "{" || token === "[") {
      depth += 1;
      lines += token + (tokens[at + 1] === "}" || tokens[at + 1] === "]" ? "" : next());
    } else if (token === "}" || token === "]") {
      depth -= 1;
      lines += (tokens[at - 1] === "{" || tokens[at - 1] === "[" ? "" : next()) + token;
    } else lines += token === "," ? token + next() : token === ":" ? ": " : token;
  });
  return lines;
}

/** Bytes in rows of sixteen: where they stand, in hex, and as letters. */
function hex(bytes) {
  const rows = [];
  for (let at = 0; at < Math.min(bytes.length, HEX_BYTES); at += 16) {
    const row = [...bytes.slice(at, Math.min(at + 16, HEX_BYTES))].map((letter) => letter.charCodeAt(0));
    const letters = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(48)} ${letters}`);
  }
  return rows.join("\n");
}

/** Text that may be long: it scrolls, also by the keys. */
function pane(label, text) {
  const block = make("pre", "pane", text);
  block.tabIndex = 0;
  block.setAttribute("role", "region");
  block.setAttribute("aria-label", label);
  return make("div", "", make("h4", "", label), block);
}

function headerPane(label, headers) {
  const lines = headers.map(({ name, value, value_base64 }) => `${name}: ${value ?? `${value_base64} (base64)`}`);
  return pane(label, lines.join("\n") || "none");
}

/** A body: as it came, beside it formatted where it is JSON, in hex where it is no text; whole behind `link`. */
function bodyPanes(body, link) {
  if (body.hidden) return [make("p", "quiet", "The body is hidden: a secret of its source stands in it. A token with the scope admin sees it.")];
  const notes = [`${plural(body.len, "byte", "bytes")}${body.content_type ? `, ${body.content_type}` : ""}`];
  const panes = [];
  if (body.text) {
    const formatted = body.truncated ? null : indented(body.text);
    if (formatted) panes.push(pane("Formatted", formatted));
    panes.push(pane("As it came", body.text));
  } else if (body.base64) {
    const bytes = atob(body.base64);
    if (bytes.length > HEX_BYTES) notes.push(`the first ${HEX_BYTES} are shown`);
    panes.push(pane("Bytes", hex(bytes)));
  }
  if (body.truncated) notes.push("only its beginning is shown");
  const note = make("p", "quiet", `Body: ${notes.join("; ")}. `);
  if (link && body.len > 0) note.append(anchor(link, "Download it whole"));
  return [note, make("div", "panes", ...panes)];
}

function anchor(path, text) {
  const link = make("a", "", text);
  link.href = path;
  link.download = "";
  return link;
}

/** The request as it arrived: nothing of it changes any more. */
async function requestParts(line) {
  const whole = await ask(`/v1/requests/${line.id}`), http = whole.request;
  const where = whole.source ? `…/${whole.source_name ?? "removed source"}${http.path}${http.query === null ? "" : `?${http.query}`}` : "/v1/events";
  const from = http.peer ? `from ${http.peer}` : "";
  const parts = [
    make("p", "quiet mono", [whole.id, whole.event].filter(Boolean).join("  ")),
    make("p", "", whole.explanation),
    ...whole.rejection?.reason === "verification_failed" ? await signature(line, whole.explanation) : [],
    make("h3", "", "Request"),
    make("p", "", make("code", "", `${http.method} ${where}`), " ", make("span", "quiet", from)),
    headerPane("Headers", http.headers),
    ...bodyPanes(http.body, `/v1/requests/${line.id}/body`),
  ];
  if (whole.event) parts.push(replayRow(whole.event));
  return parts;
}

/** Why the signature does not hold, found out by trying. */
async function signature(line, said) {
  const heading = make("h3", "", "Signature");
  let found;
  try { found = await ask(`/v1/requests/${line.id}/explain`); } catch (error) {
    if (error instanceof SignedOut) throw error;
    return [heading, make("p", "quiet", error.message)];
  }
  const why = found.verified || said.includes(found.refusal.detail) ? "" : `: ${found.refusal.detail}`;
  const verdict = `As its source is set up now, it ${found.verified ? "verifies" : "does not verify"}${why}.`;
  const facts = [["checked as", found.provider], ["stands in", found.place], ["signature", found.received], ["signed text", found.signed_text],
    ["sent", found.skew_ms === null ? null : `${(Math.abs(found.skew_ms) / 1000).toFixed(1)} s ${found.skew_ms < 0 ? "in the future" : "before it came"}`]];
  const list = make("dl", "facts");
  for (const [name, value] of facts) if (value) list.append(make("dt", "", name), make("dd", "mono", value));
  const findings = found.findings.map(({ proved, detail }) => make("li", "", make("strong", "", proved ? "Found: " : "Perhaps: "), detail));
  return [heading, make("p", "", verdict), make("ul", "findings", ...findings), list, ...found.doubt ? [make("p", "quiet", found.doubt)] : []];
}

function button(text, key, work) {
  const element = make("button", "", text);
  element.type = "button";
  element.dataset.key = key;
  element.addEventListener("click", () => guarded(async () => {
    element.disabled = true;
    try { await work(); await refresh(); } finally { element.disabled = false; }
  }));
  return element;
}

/** Delivers the event again: to the endpoints of the first time, or to another. */
function replayRow(event) {
  const to = make("select", "");
  to.setAttribute("aria-label", "Where to deliver it again");
  const option = (text, value) => { const one = make("option", "", text); one.value = value; return one; };
  to.append(option("to the endpoints of the first time", ""), ...endpointNames.map((name) => option(`to ${name}`, name)));
  const told = make("span", "quiet");
  told.setAttribute("role", "status");
  const again = button("Deliver it again", `replay ${event}`, async () => {
    const made = await ask("/v1/replays", "POST", { choice: { events: [event] }, ...to.value ? { to: to.value } : {} });
    told.textContent = `It is being replayed: ${made.id}`;
  });
  return make("div", "row actions", again, to, told);
}

async function attemptsOf(delivery) {
  if (delivery.attempts === 0) return [];
  const known = tried.get(delivery.id);
  if (known?.count === delivery.attempts) return known.data;
  const { data } = await ask(`/v1/deliveries/${delivery.id}/attempts`);
  if (tried.size > 500) tried.clear();
  tried.set(delivery.id, { count: data.length, data });
  return data;
}

/** How long each part took, as a bar and in words. */
function timings(took) {
  const bar = make("div", "bar"), words = [];
  bar.setAttribute("aria-hidden", "true");
  let rest = took.total_ms;
  PHASES.forEach(([field, word]) => {
    if (took[field] === undefined) return;
    rest -= took[field];
    bar.append(segment(field, took[field]));
    words.push(`${word} ${took[field].toFixed(1)}`);
  });
  bar.append(segment("rest", Math.max(rest, 0)));
  words.push(`${took.total_ms.toFixed(1)} ms in all`);
  return make("div", "timings", bar, make("span", "quiet", words.join(" · ")));
}

function segment(name, share) {
  const part = make("span", name);
  part.style.flexGrow = share;
  return part;
}

function attemptLine(attempt) {
  const answer = attempt.response;
  const ended = answer ? String(answer.status) : (attempt.error ?? "confirmed").replaceAll("_", " ");
  const head = make("div", "row", make("span", "name", `Try ${attempt.number}`), clock(attempt.at), pill(attempt.succeeded ? "delivered" : "failed", ended),
    make("span", "quiet", [attempt.trigger, attempt.address].filter(Boolean).join(", ")));
  const line = make("li", "", head, timings(attempt.timings), attempt.succeeded ? null : make("p", "", attempt.explanation));
  if (answer) {
    const parts = [headerPane("Response headers", answer.headers), ...bodyPanes(answer.body, null)];
    const summary = make("summary", "fold", "Response");
    line.append(foldable(attempt.id, summary, (inside) => inside.replaceChildren(...parts)));
  }
  return line;
}

function deliveryActions(delivery) {
  const act = (verb) => () => ask(`/v1/deliveries/${delivery.id}/${verb}`, "POST");
  const buttons = [];
  const again = ["scheduled", "failed", "discarded"].includes(delivery.state) || delivery.waits_for === "breaker";
  if (again) buttons.push(button("Try again now", `retry ${delivery.id}`, act("retry")));
  if (["pending", "scheduled", "paused", "failed"].includes(delivery.state)) buttons.push(button("Cancel", `cancel ${delivery.id}`, act("cancel")));
  return buttons.length ? make("div", "row actions", ...buttons) : null;
}

async function deliveryBlock(delivery) {
  const attempts = await attemptsOf(delivery);
  const head = make("div", "row", make("span", "name", delivery.endpoint_name ?? "removed endpoint"), pill(delivery.state),
    make("span", "quiet", plural(delivery.attempts, "try", "tries")));
  if (delivery.due_at && delivery.state === "scheduled") head.append(make("span", "quiet", "again at "), clock(delivery.due_at));
  if (delivery.discarded_because) head.append(make("span", "quiet", delivery.discarded_because.replaceAll("_", " ")));
  head.append(make("span", "end quiet mono", delivery.id));
  const lines = attempts.slice(-ATTEMPTS).reverse().map(attemptLine);
  const before = attempts.length - lines.length;
  const waits = delivery.state !== "scheduled" && delivery.waits_because ? make("p", "", delivery.waits_because) : null;
  return make("div", "delivery", head, waits, deliveryActions(delivery), make("ol", "attempts", ...lines),
    before > 0 ? make("p", "quiet", `The ${before} before: doorbell delivery attempts ${delivery.id}`) : null);
}

/** The deliveries as they stand; what did not change stays as it is, for whoever reads it or has the focus in it. */
async function fillDeliveries(place, event) {
  const { data, next_cursor } = await ask(`/v1/deliveries?limit=${DELIVERIES}&event=${event}`);
  const told = JSON.stringify(data);
  if (shownOf.get(place) === told) return;
  const blocks = await Promise.all(data.map(deliveryBlock));
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  place.replaceChildren(make("h3", "", "Deliveries"), ...blocks.length ? blocks : [make("p", "quiet", "None.")]);
  if (next_cursor) place.append(make("p", "quiet", `There are more: doorbell delivery list --event ${event}`));
  if (focused) [...place.querySelectorAll("button")].find((one) => one.dataset.key === focused)?.focus();
  shownOf.set(place, told);
}

/** Fills the inside of a request's line, or brings it up to date. */
async function fill(inside, line) {
  if (!inside.firstChild) inside.append(make("div", "whole"), make("div", "deliveries"));
  const [whole, deliveries] = inside.children;
  if (!whole.firstChild) whole.replaceChildren(...await requestParts(line));
  if (line.event) await fillDeliveries(deliveries, line.event);
}
