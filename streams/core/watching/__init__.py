"""What alarm rules watch. A new kind of detector is one file here, one row in registry.py and one test module.

engine.py
 `- listening   the cells of a pane, by key: what is fresh, and the days and hours that baselines learn from
     |- watching    a statistical rule: shares and baselines at each renewal, statistics pane by pane, alarms
     |   |- kind        what a detector is: what it learns, and the ratios of a pane and of an empty one
     |   |   |- bad_share, score      on answers (answered: what they have in common)
     |   |   `- counts, exposure      on how many events come (profile, hours: what is expected)
     |   |- watch, quiet   one key: its statistic, and empty panes that are evidence
     |   `- teaching       what days teach, and the acceptance of a new level
     |- burning     the rule without a statistic: burn rates
     `- watcher     what both have in common; episodes: what people are told; families: parents and children
"""
