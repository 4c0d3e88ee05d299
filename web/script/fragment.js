// Runs before anything else on a page that may be opened with a secret behind the `#`: takes it out of the address, so that
// no history entry, screenshot, share sheet or later script finds it there. `takeFragment()` hands it out once.
(() => {
  let kept = location.hash.slice(1);
  if (location.href.includes('#')) history.replaceState(null, '', location.pathname + location.search);
  // Another code or invitation opened where this page stands already changes only what is behind `#`: begin anew with it.
  addEventListener('hashchange', () => location.hash.length > 1 && location.reload());
  Object.defineProperty(globalThis, 'takeFragment', {
    value: () => {
      const taken = kept;
      kept = '';
      return taken;
    },
  });
})();
