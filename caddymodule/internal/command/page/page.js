"use strict";

// What a client sent is text: it is put into the page through textContent alone.

const maxRows = 1000;
let gates = []; // two may have one name, and then share their counts
const rows = new Map(); // by the id of the delivery
const $ = (id) => document.getElementById(id);

// visible shows characters that have no shape of their own: they would hide a part of a
// text, or turn it around.
const visible = (text) => String(text).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

function element(name, text, className) {
	const made = document.createElement(name);
	if (text !== undefined) made.textContent = visible(text);
	if (className) made.className = className;
	return made;
}

// isBad says what an operator looks for: what was refused, and what the app failed to take.
const failed = (d) => d.result !== "observed" && Boolean(d.app) && d.app !== "2xx" && d.app !== "3xx";
const isBad = (d) => d.result === "refused" || failed(d);

// showGates keeps the chosen gate, unless it is gone.
function showGates() {
	const chosen = $("gate").value, names = [...new Set(gates.map((gate) => gate.name))];
	$("gate").replaceChildren(new Option("all", ""), ...names.map((name) => new Option(name, name)));
	$("gate").value = names.includes(chosen) ? chosen : "";
	if ($("gate").value !== chosen) refilter();
}

function refilter() {
	for (const { delivery, item } of rows.values()) if (item) item.hidden = !wanted(delivery);
}

function drawGates() {
	const named = new Map();
	for (const gate of gates) named.set(gate.name, (named.get(gate.name) ?? 0) + 1);
	$("gates").replaceChildren(...gates.map((gate) => {
		const item = element("li");
		item.append(element("strong", gate.name));
		const kind = [gate.preset, gate.kind.replace("_", " "), gate.mode === "observe" ? "observes only" : "", gate.replay ? "replay " + gate.replay : ""];
		item.append(element("p", kind.filter(Boolean).join(", ")));
		for (const url of gate.urls ?? []) item.append(element("p", url));
		const count = (name) => gate.deliveries[name] ?? 0;
		item.append(element("p", `accepted ${count("accepted")}, refused ${count("refused")}` + (count("observed") ? `, observed ${count("observed")}` : "")));
		if (named.get(gate.name) > 1) item.append(element("p", `these counts are of all ${named.get(gate.name)} gates of this name`));
		const app = Object.entries(gate.app).map(([answer, n]) => `${answer} ${n}`);
		if (app.length) item.append(element("p", "app: " + app.join(", ")));
		for (const f of gate.findings ?? []) item.append(element("p", `${f.severity}: ${f.problem}; ${f.cure}`, "finding"));
		return item;
	}));
}

// count keeps the figures of a gate up to date between two lists of gates.
function count(d) {
	for (const gate of gates) {
		if (gate.name !== d.gate) continue;
		gate.deliveries[d.result] = (gate.deliveries[d.result] ?? 0) + 1;
		if (d.app) gate.app[d.app] = (gate.app[d.app] ?? 0) + 1;
	}
}

function wanted(d) {
	const verdict = $("verdict").value, text = $("text").value.toLowerCase();
	if ($("gate").value && $("gate").value !== d.gate) return false;
	if (verdict === "failed" ? !failed(d) : verdict && verdict !== d.result) return false;
	return !text || [d.id, d.host + d.path, d.reason, d.diagnosis, d.client_ip, d.user_agent, d.key, d.tenant].join("\n").toLowerCase().includes(text);
}

function details(d) {
	const list = element("dl");
	const add = (name, value, className) => {
		if (value === undefined || value === "" || value === 0) return;
		list.append(element("dt", name), element("dd", String(value), className));
	};
	add("what to do", d.hint, "cure");
	add("diagnosis", d.diagnosis);
	add("reason", d.reason);
	add("id", d.id);
	add("time", new Date(d.time).toISOString());
	add("request", `${d.method} ${d.host}${d.path}`);
	add("hidden", d.hidden?.join(", "));
	add("client", d.client_ip);
	add("user agent", d.user_agent);
	add("content type", d.content_type);
	add("body", `${d.size} bytes`);
	add("key", d.key);
	add("tenant", d.tenant);
	add("answer", d.status);
	add("app", d.app);
	add("time to verdict", milliseconds(d.verdict_seconds));
	add("time to answer", milliseconds(d.answer_seconds));
	return list;
}

const milliseconds = (seconds) => (seconds ? (seconds * 1000).toFixed(2) + " ms" : "");

function row(d) {
	const item = element("li"), button = element("button");
	button.type = "button";
	button.setAttribute("aria-expanded", "false");
	button.append(
		element("span", new Date(d.time).toLocaleTimeString(undefined, { hour12: false }) + "." + String(new Date(d.time).getMilliseconds()).padStart(3, "0"), "time"),
		element("span", failed(d) ? "failed" : d.result, isBad(d) ? "bad" : "good"),
		element("span", d.gate),
		element("span", `${d.method} ${d.host}${d.path}`, "path"),
		element("span", [d.reason, d.app && "app " + d.app, d.diagnosis].filter(Boolean).join(" · "), "outcome"),
	);
	button.addEventListener("click", () => {
		const open = item.querySelector("dl");
		if (open) open.remove();
		else item.append(details(d));
		button.setAttribute("aria-expanded", String(!open));
	});
	item.append(button);
	item.hidden = !wanted(d);
	return item;
}

// show draws a delivery, or draws it again because more of it is known.
function show(known) {
	const old = known.item;
	known.item = row(known.delivery);
	if (!old) return $("deliveries").prepend(known.item);
	const open = old.querySelector("dl"), focused = old.contains(document.activeElement);
	old.replaceWith(known.item);
	if (open) known.item.firstChild.click();
	if (focused) known.item.firstChild.focus();
}

// What comes is taken in at once, and drawn once a frame, however fast it comes. A hidden
// tab has no frames: until it is seen again it holds the newest rows, as it would show them.
const changed = new Set(); // ids
let scheduled = false, listed = false, dropped = 0, lost = false, state = "connecting";

function receive(line) {
	if (line.gates) [gates, listed] = [line.gates, true];
	else if (line.dropped) dropped += line.dropped;
	else if (line.lost) lost = true;
	else if (line.state !== undefined) state = line.state;
	else if (line.id) take(line);
	if (!scheduled) requestAnimationFrame(draw);
	scheduled = true;
}

function take(d) {
	if (d.live && !d.update) count(d);
	rows.set(d.id, { delivery: d, item: rows.get(d.id)?.item });
	changed.add(d.id);
	if (rows.size <= maxRows) return;
	const [oldest, { item }] = rows.entries().next().value;
	item?.remove();
	rows.delete(oldest);
	changed.delete(oldest);
}

function draw() {
	scheduled = false;
	if (listed) showGates();
	listed = false;
	for (const id of changed) show(rows.get(id));
	changed.clear();
	const notes = [state];
	if (dropped) notes.push(`${dropped} not shown, because they came too fast`);
	if (lost) notes.push("some may be missing, because the server does not remember all that came meanwhile");
	$("state").textContent = notes.join("; ");
	$("empty").hidden = rows.size > 0;
	drawGates();
}

for (const id of ["gate", "verdict", "text"]) {
	$(id).addEventListener("input", refilter);
}
$("filter").addEventListener("submit", (event) => event.preventDefault());

const stream = new EventSource("events");
stream.onmessage = (event) => receive(JSON.parse(event.data));
stream.onerror = () => receive({ state: "caddy webhook inspect has ended; start it again" });
