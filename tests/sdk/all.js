'use strict';
// One process for all of them: they share daemons, and the last one ends one of these.
require('./chat.js');
require('./auto.js');
require('./tools.js');
require('./ai.js');
require('./trouble.js');
