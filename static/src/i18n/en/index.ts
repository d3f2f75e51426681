import base from './base';
import causes from './causes';
import config from './config';
import costs from './costs';
import dashboard from './dashboard';
import keyName from './key_name';
import palette from './palette';
import past from './past';
import requests from './requests';
import rules from './rules';
import running from './running';
import saved from './saved';
import sessions from './sessions';
import unsaved from './unsaved';
import upstreams from './upstreams';
import waste from './waste';

export default {
  ...base,
  ...dashboard,
  ...costs,
  ...sessions,
  ...waste,
  ...requests,
  ...causes,
  ...upstreams,
  ...past,
  ...rules,
  ...config,
  ...keyName,
  ...running,
  ...unsaved,
  ...palette,
  ...saved,
};
