// uPlot asks Intl for the browser's language while it loads. Chromium that was started under LANG=C, as in a
// container, has one that Intl does not know; see findings/uplot_where_lang_is_c.sh.
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  const known = new Intl.NumberFormat().resolvedOptions().locale;
  Object.defineProperty(navigator, "language", { value: known });
}
