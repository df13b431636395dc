/**
 * The part of JupyterLab's launcher that is used here. JupyterLab itself brings the package to the page (the builder
 * takes every package of its core from there), so that nothing need be installed to build against it.
 */
declare module '@jupyterlab/launcher' {
  import { Token } from '@lumino/coreutils';

  export interface ILauncher {
    add(options: { command: string; args?: Record<string, string>; category?: string; rank?: number }): {
      dispose(): void;
    };
  }
  export const ILauncher: Token<ILauncher>;
}
