/* Waits for news of this session; when it is over, the page shows so at once. */
const wait = async () => {
  try {
    const answer = await fetch('/news', { cache: 'no-store' });
    if (answer.status === 204) {
      location.reload();
      return;
    }
  } catch {
    await new Promise((later) => setTimeout(later, 3000));
  }
  wait();
};
wait();
