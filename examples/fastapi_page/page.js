// With ?user=alice this page is a tab of alice; in any case it shows who is here.
// Users choose their ids, so an id becomes text, never HTML.
function connect() {
  const socket = new WebSocket(
    `${location.origin.replace("http", "ws")}/ws${location.search}`);
  // A moment at random: after a restart not everybody comes back at once. After 1008
  // nobody does: the server has refused the name.
  socket.onclose = ({code}) =>
    code === 1008 || setTimeout(connect, 200 + 2000 * Math.random());
}
if (location.search) connect();

const users = new Set();
new EventSource("events").onmessage = ({data}) => {
  const {action, user_id, occupants} = JSON.parse(data);
  if (action === "snapshot") users.clear();
  for (const occupant of occupants ?? []) users.add(occupant.user_id);
  if (action === "leave" || action === "timeout") users.delete(user_id);
  else if (user_id !== undefined) users.add(user_id);
  document.getElementById("users").replaceChildren(...[...users].map((id) => {
    const item = document.createElement("li");
    item.textContent = id;
    return item;
  }));
};
