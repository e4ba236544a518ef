// Search as one types: the same page is fetched, and its list takes the place of this one's.

const form = document.querySelector("[data-search]");
const list = form && document.querySelector(form.dataset.search);
let timer, running;

async function show() {
  running?.abort();
  running = new AbortController();
  const wanted = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) wanted.append(name, value);
  const address = `${location.pathname}${wanted.size ? `?${wanted}` : ""}`;
  try {
    const answer = await fetch(address, { signal: running.signal });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    list.replaceChildren(...page.querySelector(form.dataset.search).childNodes);
    for (const button of list.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
    history.replaceState(null, "", address);
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

form?.elements.search.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(show, 200);
});
for (const name of ["sort", "created_after", "created_before", "domain"]) {
  form?.elements[name]?.addEventListener("change", show);
}
