import type { Messages } from '..';
import base from './base';
import causes from './causes';
import config from './config';
import connect from './connect';
import costs from './costs';
import dashboard from './dashboard';
import keyName from './key_name';
import notify from './notify';
import palette from './palette';
import past from './past';
import requests from './requests';
import ruleForm from './rule_form';
import rules from './rules';
import running from './running';
import saved from './saved';
import sessions from './sessions';
import unsaved from './unsaved';
import upstreamForm from './upstream_form';
import upstreams from './upstreams';
import waste from './waste';

const messages: Messages = {
  ...base,
  ...dashboard,
  ...costs,
  ...sessions,
  ...waste,
  ...requests,
  ...causes,
  ...upstreams,
  ...upstreamForm,
  ...notify,
  ...past,
  ...rules,
  ...ruleForm,
  ...config,
  ...connect,
  ...keyName,
  ...running,
  ...unsaved,
  ...palette,
  ...saved,
};

export default messages;
