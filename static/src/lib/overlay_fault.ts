/** Why an edit cannot be made: a code, for which `overlayFault` has the words, and what differs from case to case. */
export class OverlayFault extends Error {
  constructor(
    readonly code: 'notYaml' | 'noList' | 'notInList' | 'noRule' | 'keyAgain',
    readonly detail = '',
  ) {
    super(`${code}: ${detail}`);
    this.name = 'OverlayFault';
  }
}
