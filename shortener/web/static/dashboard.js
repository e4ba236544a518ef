// What the dashboard does better with scripts than without.  Each part looks for its own attribute
// and leaves the page as it is where the browser lacks something; every page works without.

// data-copy: a button that copies its value.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const label = button.textContent;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  say("Copied");
  setTimeout(() => { button.textContent = label; }, 1500);
});

// Tell who does not see the page what has happened.
export function say(text) {
  const place = document.createElement("p");
  place.className = "unseen";
  place.textContent = text;
  document.querySelector(".said")?.append(place);
  setTimeout(() => place.remove(), 3000);
}

// Tell the server which time zone this is: statistics are in it unless another is asked for.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `shortener-zone=${zone}; path=/-/; max-age=31536000; samesite=lax${secure}`;
}
