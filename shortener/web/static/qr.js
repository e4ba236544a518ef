// Draw the code anew when something is chosen.

const form = document.querySelector("[data-qr]");
const picture = document.querySelector("[data-picture]");
form?.addEventListener("input", () => {
  const wanted = new URLSearchParams(new FormData(form));
  const next = new Image();
  next.onload = () => {
    picture.src = next.src;
    for (const link of document.querySelectorAll("[data-download]")) {
      link.href = `${link.dataset.download}?${wanted}&download`;
    }
  };
  next.src = `${picture.dataset.picture}?${wanted}`;
});
