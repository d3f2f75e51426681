import type en from '../en/connect';

const words: typeof en = {
  connect: {
    title: '接入',
    about: '让客户端连接到网关',
    address: '网关地址',
    addressHelp: "其他机器上的客户端需要一个可以访问的地址：最简单的是 ssh -L 8088:127.0.0.1:8088 用户{'@'}主机；也可以设置 gateway.listen，并在前面加上 TLS。",
    settings: '客户端设置',
    teamAddress: '请把 {name} 换成其他机器访问本机所用的域名或 IP 地址；gateway.listen 要允许它们访问，或在网关前面放一个反向代理。',
    client: { claude: 'Claude Code', vscode: 'VS Code', team: '团队', python: 'Python', javascript: 'JavaScript', curl: 'curl' },
    sample: {
      bash: '终端（bash、zsh）',
      powershell: '终端（PowerShell）',
      claudeSettings: '长期生效：~/.claude/settings.json',
      vscodeSettings: 'VS Code 的 settings.json',
      managedSettings: 'managed-settings.json，部署到每台机器',
      memberKey: '每个人自己的密钥：~/.claude/settings.json',
      python: 'pip install anthropic',
      pythonAgent: 'Claude Agent SDK：pip install claude-agent-sdk',
      javascript: "npm install {'@'}anthropic-ai/sdk",
      javascriptAgent: "Claude Agent SDK：npm install {'@'}anthropic-ai/claude-agent-sdk",
      curl: '终端',
    },
    note: {
      claude: '把 sk-your-key 换成中转站给你的密钥。它会发往上游，网关只保留很短的指纹。',
      vscode: '把 sk-your-key 换成中转站给你的密钥，然后重新加载窗口。',
      team: '由管理员把这个文件放到每台机器上，其中的设置优先于用户和项目的设置。文件里不放密钥：每个人用自己的密钥，统计也据此区分使用者。',
      python: 'auth_token 会放在 Authorization: Bearer 中发送，这正是中转站要求的。',
      javascript: 'authToken 会放在 Authorization: Bearer 中发送，这正是中转站要求的。',
      curl: '有些中转站只接受类似 Claude Code 的请求，配置档中的规则会补全缺少的部分。',
    },
    tls: {
      title: '经由 TLS 监听',
      note: '证书是自签名的，Claude Code 默认不信任：请把证书（{path}，不是私钥）复制到每台客户端，并改写为副本的路径。',
    },
    options: {
      title: '各项设置的作用',
      toolSearch: 'MCP 工具用到时才查找，不再随每个请求发送。工具较多时提示词会短很多（有用户从 116K 降到 57K Token）。网关会原样转发；如果中转站不接受（400 或 429），请去掉这一项。',
      hintHeaders: 'Claude Code 说明每个请求的用途（主对话、子代理、压缩上下文、标题等），统计和规则可以据此区分。需要 2.1.273 及以上版本。',
      modelDiscovery: '/model 中会列出网关提供的模型。需要 2.1.129 及以上版本。',
      requestTimeout: 'Claude Code 等待响应的时间：20 分钟，适合较慢的中转站和非流式响应。默认 10 分钟。',
      streamTimeout: '流式响应静默多久后 Claude Code 会放弃：10 分钟，与网关等待中转站的时间相同。默认 5 分钟，最多 30 分钟。',
    },
    first: {
      waiting: '等待客户端发来请求',
      running: '有一个请求正在进行',
      good: '接入成功',
      bad: '收到了请求，但请求失败了',
      how: '用你的客户端发送任意内容，请求会立刻显示在这里。',
      notLive: '实时连接尚未建立，建立后请求会显示在这里。',
      open: '查看请求',
      again: '再等一个',
    },
  },
};

export default words;
