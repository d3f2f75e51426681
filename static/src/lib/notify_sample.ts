/** What makes a target of notifications, to be copied into the configuration. */
export const NOTIFY_SAMPLE = `gateway:
  notify:
    targets:
      - name: ops
        kind: feishu
        url: env:FEISHU_URL
        secret: env:FEISHU_SECRET
`;
