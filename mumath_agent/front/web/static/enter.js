// Gives the key to the server, which answers with a cookie, and opens the page that was asked for.

const form = document.getElementById("enter");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ key: form.elements.key.value });
  const headers = { "content-type": "application/json" };
  const response = await fetch("/enter", { method: "POST", headers, body });
  if (response.ok) location.reload();
  else document.getElementById("problem").textContent = "This isn't the key.";
});
