// Wakes a phone whose page nobody looks at: says that something waits, in the same words each time. It keeps nothing, asks nobody
// anything, and stands between no page and the server: no page lies within its scope. The server puts `WORDS` before it.
/* global WORDS */
const TAG = 'waits';
const PAGE = '/phone';

self.addEventListener('install', () => self.skipWaiting());

self.addEventListener('push', (event) => {
  // What came is not looked at: whatever it says, nothing else is shown. One that nobody looked at is replaced, and rings again.
  event.waitUntil(self.registration.showNotification(WORDS.title, { body: WORDS.body, lang: WORDS.lang, tag: TAG, renotify: true }));
});

async function look() {
  const open = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const page = open.find(({ url }) => new URL(url).pathname === PAGE);
  return page ? page.focus() : self.clients.openWindow(PAGE);
}

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(look());
});
