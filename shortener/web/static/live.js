// Counts clicks as they happen: the server tells of them once a second.

const place = document.querySelector("[data-live]");
if (place && window.EventSource) {
  const number = place.querySelector("b");
  const words = place.querySelector("span");
  let clicks = 0;
  const events = new EventSource("/-/live");
  events.onopen = () => { place.hidden = false; };
  events.onmessage = (event) => {
    clicks += JSON.parse(event.data).clicks;
    number.textContent = clicks.toLocaleString("en");
    words.textContent = `${clicks === 1 ? "click" : "clicks"} since you opened this page`;
    place.classList.remove("fresh");
    requestAnimationFrame(() => place.classList.add("fresh"));
  };
  addEventListener("pagehide", () => events.close());
}
