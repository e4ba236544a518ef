// Makes many links in portions, and shows how far it is.  It can be stopped and taken up again: a
// portion that is sent twice makes nothing twice.

const form = document.querySelector("[data-bulk]");
const size = Number(form?.dataset.bulk);
const button = form?.querySelector("button[value=make]");
const progress = form?.querySelector("[data-progress]");
const bar = progress?.querySelector("progress");
const words = progress?.querySelector("span");
const [header, ...rows] = form?.elements.text.value.trimEnd().split("\n") ?? [];
const found = [];
let place = 0;
let running = false; // until somebody stops it
let busy = false; // until the portion under way is answered, too

async function send(part) {
  const body = new FormData();
  body.append("form_token", form.elements.form_token.value);
  body.append("action", "part");
  body.append("once", `${form.elements.once.value}-${place}`);
  body.append("text", [header, ...part].join("\n"));
  for (let pause = 500; ; pause = Math.min(2 * pause, 8000)) {
    let answer;
    try {
      answer = await fetch(location.href, { method: "POST", body });
    } catch { /* the network: try again */ }
    if (answer?.ok) return answer.json();
    if (answer && answer.status < 500 && answer.status !== 429) throw new Error(`status ${answer.status}`);
    words.textContent = "waiting for the server…";
    const wanted = Number(answer?.headers.get("Retry-After"));
    await new Promise((done) => setTimeout(done, wanted ? 1000 * wanted : pause));
    if (!running) return null;
  }
}

async function run() {
  running = busy = true;
  button.textContent = "Stop";
  progress.hidden = false;
  while (running && place < rows.length) {
    const outcomes = await send(rows.slice(place, place + size));
    if (outcomes === null) break;
    for (const [number, ...rest] of outcomes) found.push([place + number, ...rest]);
    place += outcomes.length;
    bar.value = place;
    words.textContent = `${place.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  }
  button.textContent = "Go on";
  if (place >= rows.length) finish();
  running = false;
}

function finish() {
  const wrong = found.filter(([, , , error]) => error).length;
  words.textContent = `${(found.length - wrong).toLocaleString("en")} links are made, ${wrong.toLocaleString("en")} could not be.`;
  const cell = (value) => `"${String(value).replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  const lines = [["row", "url", "short_url", "error"], ...found].map((row) => row.map(cell).join(","));
  const link = document.createElement("a");
  link.className = "button";
  link.href = URL.createObjectURL(new Blob([lines.join("\r\n")], { type: "text/csv" }));
  link.download = "links.csv";
  link.textContent = "Download as CSV";
  button.replaceWith(link);
  link.focus();
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  if (busy) {
    running = false;
    return;
  }
  run()
    .catch((error) => { running = false; words.textContent = `It stopped: ${error.message}.`; button.textContent = "Go on"; })
    .finally(() => { busy = false; });
});
