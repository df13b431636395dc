import { ReactWidget } from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';

/** A widget that works only while it can be seen. */
export abstract class SeenWidget extends ReactWidget {
  /** Whether it can be seen. */
  get seen(): boolean {
    return this._seen;
  }

  /** Begin to work, or cease. */
  protected abstract onSeen(seen: boolean): void;

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._look();
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._look();
  }

  protected onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this._look();
  }

  protected onAfterDetach(message: Message): void {
    super.onAfterDetach(message);
    this._look();
  }

  private _look(): void {
    const seen = this.isAttached && this.isVisible;
    if (seen !== this._seen) {
      this._seen = seen;
      this.onSeen(seen);
      this.update();
    }
  }

  private _seen = false;
}
