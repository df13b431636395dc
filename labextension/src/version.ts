import { TranslationBundle } from '@jupyterlab/translation';

/** The version of what runs in the page; a test holds it to that of package.json and of the server extension. */
export const VERSION = '0.1.0';

/** What to do when the page's part and the server's are of two versions; empty when they are of one. */
export function versionAdvice(server: string, trans: TranslationBundle): string {
  if (server === VERSION) {
    return '';
  }
  return trans.__(
    "cpod-jupyter is %1 in this page and %2 in Jupyter's server. Reload the page; if this stays, install the same version in both and restart Jupyter.",
    VERSION,
    server
  );
}
