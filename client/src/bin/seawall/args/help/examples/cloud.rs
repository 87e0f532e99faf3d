//! Examples of the commands for images of a cloud.

use super::{Examples, example};

/// The examples of the commands for images of a cloud.
pub(super) const EXAMPLES: &[Examples] = &[
    (
        "cloud",
        &[
            example(
                "Make AMIs of a release",
                "seawall cloud publish shop:1.0.0 --to ec2:eu-west-1",
            ),
            example(
                "See the bytes and the price before",
                "seawall cloud publish shop:stable --to ec2:eu-west-1 --dry-run",
            ),
        ],
    ),
    (
        "cloud publish",
        &[
            example(
                "Make an AMI of every machine; send only what changed",
                "seawall cloud publish shop:1.1.0 --to ec2:eu-west-1",
            ),
            example(
                "Only of one machine, at a service that speaks the API",
                "seawall cloud publish shop:1.1.0 --to ec2:test-1 --machine web \
                 --endpoint http://127.0.0.1:5000",
            ),
        ],
    ),
    (
        "cloud status",
        &[
            example(
                "Show the images of an application",
                "seawall cloud status shop --at ec2:eu-west-1",
            ),
            example(
                "Find what is left behind",
                "seawall cloud status shop --at ec2:eu-west-1 --json",
            ),
        ],
    ),
    (
        "cloud share",
        &[
            example(
                "Let another account start machines",
                "seawall cloud share 111122223333 shop:1.0.0 --at ec2:eu-west-1",
            ),
            example(
                "End the permission",
                "seawall cloud share 111122223333 shop:1.0.0 --at ec2:eu-west-1 --end",
            ),
        ],
    ),
    (
        "cloud deprecate",
        &[
            example(
                "Deprecate the images of a release",
                "seawall cloud deprecate shop:1.0.0 --at ec2:eu-west-1",
            ),
            example(
                "Deprecate them on a day",
                "seawall cloud deprecate shop:1.0.0 --at ec2:eu-west-1 --on 2027-03-01",
            ),
        ],
    ),
    (
        "cloud disable",
        &[
            example(
                "Start no new machines of a release",
                "seawall cloud disable shop:1.0.0 --at ec2:eu-west-1",
            ),
            example(
                "Only of one machine",
                "seawall cloud disable shop:1.0.0 --at ec2:eu-west-1 --machine web",
            ),
        ],
    ),
    (
        "cloud enable",
        &[
            example(
                "Start machines of a release again",
                "seawall cloud enable shop:1.0.0 --at ec2:eu-west-1",
            ),
            example(
                "Only of one machine",
                "seawall cloud enable shop:1.0.0 --at ec2:eu-west-1 --machine web",
            ),
        ],
    ),
    (
        "cloud rm",
        &[
            example(
                "Remove the images of a release",
                "seawall cloud rm shop:1.0.0 --at ec2:eu-west-1",
            ),
            example(
                "Only of one machine",
                "seawall cloud rm shop:1.0.0 --at ec2:eu-west-1 --machine web",
            ),
        ],
    ),
];
