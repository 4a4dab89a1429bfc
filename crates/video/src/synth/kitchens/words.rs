/// What is done, by the key of its class in EPIC-KITCHENS-100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    /// A hand comes empty and leaves with the object.
    Take,
    /// A hand comes with the object and leaves empty.
    Put,
    /// Pulled, lifted or unscrewed.
    Open,
    /// The reverse of [`Verb::Open`].
    Close,
    /// The lever turns and water runs.
    TurnOn,
    /// The reverse of [`Verb::TurnOn`].
    TurnOff,
    /// A full spoon dips in and leaves empty.
    Fill,
    /// An empty spoon dips in and leaves full.
    Empty,
    /// A sponge goes in circles.
    Wash,
    /// A knife goes to and fro.
    Cut,
    /// A spoon goes in circles.
    Mix,
    /// Lifted, moved up and down, set down again.
    Shake,
}

impl Verb {
    /// All verbs.
    pub(super) const ALL: [Verb; 12] = [
        Verb::Take,
        Verb::Put,
        Verb::Open,
        Verb::Close,
        Verb::TurnOn,
        Verb::TurnOff,
        Verb::Fill,
        Verb::Empty,
        Verb::Wash,
        Verb::Cut,
        Verb::Mix,
        Verb::Shake,
    ];

    /// Name of the class.
    pub(super) fn key(self) -> &'static str {
        match self {
            Verb::Take => "take",
            Verb::Put => "put",
            Verb::Open => "open",
            Verb::Close => "close",
            Verb::TurnOn => "turn-on",
            Verb::TurnOff => "turn-off",
            Verb::Fill => "fill",
            Verb::Empty => "empty",
            Verb::Wash => "wash",
            Verb::Cut => "cut",
            Verb::Mix => "mix",
            Verb::Shake => "shake",
        }
    }

    /// The word in the narration, one of those that the class unites.
    pub(super) fn spoken(self) -> &'static str {
        match self {
            Verb::Put => "put-down",
            Verb::Mix => "stir",
            Verb::Wash => "clean",
            verb => verb.key(),
        }
    }

    /// The group of classes that EPIC-KITCHENS-100 puts it in.
    pub(super) fn category(self) -> &'static str {
        match self {
            Verb::Take => "retrieve",
            Verb::Put => "leave",
            Verb::Open | Verb::TurnOn => "access",
            Verb::Close | Verb::TurnOff => "block",
            Verb::Fill | Verb::Mix => "merge",
            Verb::Empty | Verb::Cut => "split",
            Verb::Wash => "clean",
            Verb::Shake => "manipulate",
        }
    }

    /// What the same film shows when it runs backwards.
    pub(super) fn reversed(self) -> Verb {
        match self {
            Verb::Take => Verb::Put,
            Verb::Put => Verb::Take,
            Verb::Open => Verb::Close,
            Verb::Close => Verb::Open,
            Verb::TurnOn => Verb::TurnOff,
            Verb::TurnOff => Verb::TurnOn,
            Verb::Fill => Verb::Empty,
            Verb::Empty => Verb::Fill,
            Verb::Wash | Verb::Cut | Verb::Mix | Verb::Shake => self,
        }
    }
}

/// What it is done to, by the key of its class in EPIC-KITCHENS-100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Noun {
    Cup,
    Plate,
    Pan,
    Lid,
    Bottle,
    Box,
    Drawer,
    Tap,
    Knife,
    Spoon,
    Board,
    Bread,
    Sponge,
}

impl Noun {
    /// All nouns.
    pub(super) const ALL: [Noun; 13] = [
        Noun::Cup,
        Noun::Plate,
        Noun::Pan,
        Noun::Lid,
        Noun::Bottle,
        Noun::Box,
        Noun::Drawer,
        Noun::Tap,
        Noun::Knife,
        Noun::Spoon,
        Noun::Board,
        Noun::Bread,
        Noun::Sponge,
    ];

    /// Name of the class.
    pub(super) fn key(self) -> &'static str {
        match self {
            Noun::Cup => "cup",
            Noun::Plate => "plate",
            Noun::Pan => "pan",
            Noun::Lid => "lid",
            Noun::Bottle => "bottle",
            Noun::Box => "box",
            Noun::Drawer => "drawer",
            Noun::Tap => "tap",
            Noun::Knife => "knife",
            Noun::Spoon => "spoon",
            Noun::Board => "board:chopping",
            Noun::Bread => "bread",
            Noun::Sponge => "sponge",
        }
    }

    /// The word in the narration; the key puts what qualifies it behind a colon.
    pub(super) fn spoken(self) -> &'static str {
        match self {
            Noun::Board => "chopping board",
            noun => noun.key(),
        }
    }

    /// The group of classes that EPIC-KITCHENS-100 puts it in.
    pub(super) fn category(self) -> &'static str {
        match self {
            Noun::Cup | Noun::Plate => "crockery",
            Noun::Pan => "cookware",
            Noun::Lid | Noun::Bottle | Noun::Box => "containers",
            Noun::Drawer => "furniture",
            Noun::Tap => "appliances",
            Noun::Knife | Noun::Spoon => "cutlery",
            Noun::Board => "utensils",
            Noun::Bread => "baked goods and grains",
            Noun::Sponge => "cleaning equipment and material",
        }
    }
}
